package frappetest

import "slices"

// workflow is the active Workflow of a DocType.
type workflow struct {
	name, field string
	states      []workflowState
	transitions []workflowTransition
}

type workflowState struct {
	state, allow, updateField, updateValue string
	docstatus                              int64
}

type workflowTransition struct{ from, action, to, allowed string }

// activeWorkflow reads the Workflow that governs a DocType.
func (s *Site) activeWorkflow(doctype string) *workflow {
	t := s.tableMap()["Workflow"]
	if t == nil || t.len() == 0 {
		return nil
	}
	for _, r := range t.matching("document_type", doctype) {
		if !isTrue(t.get(r, "is_active")) {
			continue
		}
		w := &workflow{name: r.name, field: t.str(r, "workflow_state_field")}
		st := s.table("Workflow Document State")
		for _, x := range st.childRows("Workflow", r.name, "states") {
			w.states = append(w.states, workflowState{st.str(x, "state"), st.str(x, "allow_edit"), st.str(x, "update_field"), st.str(x, "update_value"), cint(st.get(x, "doc_status"))})
		}
		tt := s.table("Workflow Transition")
		for _, x := range tt.childRows("Workflow", r.name, "transitions") {
			w.transitions = append(w.transitions, workflowTransition{tt.str(x, "state"), tt.str(x, "action"), tt.str(x, "next_state"), tt.str(x, "allowed")})
		}
		return w
	}
	return nil
}

// checkWorkflow is validate_workflow: a save may move the state only along a
// transition that the user's roles allow.
func (q *session) checkWorkflow(d *document) error {
	w := d.m.workflow
	if w == nil || len(w.states) == 0 || d.parent != nil {
		return nil
	}
	current := ""
	if d.before != nil {
		current = d.before.str(w.field)
	}
	next := d.str(w.field)
	if next == "" {
		next = w.states[0].state
		d.vals[w.field] = next
	}
	if current == "" {
		current = w.states[0].state
	}
	known := slices.ContainsFunc(w.states, func(s workflowState) bool { return s.state == next })
	if !known {
		return q.throw("WorkflowStateError", "%s is not a valid Workflow State. Please update your Workflow and try again.", next)
	}
	if current == next {
		return nil
	}
	for _, t := range w.transitions {
		if t.from == current && t.to == next && (q.roles()[t.allowed] || q.isAdmin()) {
			return nil
		}
	}
	return q.throw("WorkflowPermissionError", "Workflow State transition not allowed from %s to %s", bold(current), bold(next))
}

func validateWorkflow(d *document) error {
	q := d.q
	states := map[string]bool{}
	for _, s := range d.kids["states"] {
		states[s.str("state")] = true
	}
	for _, t := range d.kids["transitions"] {
		for _, k := range []string{"state", "next_state"} {
			if v := t.str(k); v != "" && !states[v] {
				return q.throw("ValidationError", "%s not a valid State", v)
			}
		}
		status := func(state string) int64 {
			for _, s := range d.kids["states"] {
				if s.str("state") == state {
					return cint(s.vals["doc_status"])
				}
			}
			return 0
		}
		from, to := status(t.str("state")), status(t.str("next_state"))
		switch {
		case from == 2:
			return q.throw("ValidationError", "Cannot change state of Cancelled Document. Transition row %d", cint(t.vals["idx"]))
		case from == 1 && to == 0:
			return q.throw("ValidationError", "Submitted Document cannot be converted back to draft. Transition row %d", cint(t.vals["idx"]))
		case from == 0 && to == 2:
			return q.throw("ValidationError", "Cannot cancel before submitting. See Transition %d", cint(t.vals["idx"]))
		}
	}
	return nil
}

// updateWorkflow makes the state field where it is missing, gives documents
// without a state the first one (by SQL, without a bump) and retires other
// workflows of the DocType.
func updateWorkflow(d *document) error {
	q := d.q
	m := q.site.metaOf(d.str("document_type"))
	if m == nil {
		return nil
	}
	field := d.str("workflow_state_field")
	if m.field(field) == nil {
		err := q.insertPlain("Custom Field", m.name+"-"+field, map[string]any{
			"dt": m.name, "fieldname": field, "label": titleCase(field), "hidden": int64(1), "allow_on_submit": int64(1), "no_copy": int64(1),
			"fieldtype": "Link", "options": "Workflow State",
		})
		if err != nil {
			return err
		}
		q.forgetSchema()
	}
	if d.is("is_active") {
		t := q.site.table("Workflow")
		for _, r := range t.matching("document_type", m.name) {
			if r.name != d.name() && isTrue(t.get(r, "is_active")) {
				if err := q.setDirect("Workflow", r.name, map[string]any{"is_active": int64(0)}); err != nil {
					return err
				}
			}
		}
	}
	t := q.site.table(m.name)
	for _, s := range d.kids["states"] {
		var rows []*row
		t.byName.ascend(nil, func(r *row) bool {
			if cstr(t.get(r, field)) == "" && cint(t.get(r, "docstatus")) == cint(s.vals["doc_status"]) {
				rows = append(rows, r)
			}
			return true
		})
		for _, r := range rows {
			if err := q.store(m.name, r, t.with(r, map[string]any{field: s.str("state")})); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *session) workflowDoc(p *object) (*document, *workflow, error) {
	o, err := docArg(p.get("doc"))
	if err != nil {
		return nil, nil, err
	}
	d, err := q.getDoc(cstr(o.get("doctype")), cstr(o.get("name")))
	if err != nil {
		return nil, nil, err
	}
	if err := q.checkPermission(d, "read"); err != nil {
		return nil, nil, err
	}
	if d.m.workflow == nil {
		return nil, nil, q.throw("DoesNotExistError", "Workflow None not found")
	}
	return d, d.m.workflow, nil
}

func (q *session) getTransitions(p *object) (any, error) {
	d, w, err := q.workflowDoc(p)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, t := range w.transitions {
		if t.from == d.str(w.field) && (q.roles()[t.allowed] || q.isAdmin()) {
			out = append(out, newObject("state", t.from, "action", t.action, "next_state", t.to, "allowed", t.allowed))
		}
	}
	return out, nil
}

func (q *session) applyWorkflow(p *object) (any, error) {
	if err := need("apply_workflow", p, "doc", "action"); err != nil {
		return nil, err
	}
	d, w, err := q.workflowDoc(p)
	if err != nil {
		return nil, err
	}
	action := cstr(p.get("action"))
	for _, t := range w.transitions {
		if t.from != d.str(w.field) || t.action != action || !q.roles()[t.allowed] && !q.isAdmin() {
			continue
		}
		d.vals[w.field] = t.to
		for _, s := range w.states {
			if s.state != t.to {
				continue
			}
			if s.updateField != "" {
				d.vals[s.updateField] = s.updateValue
			}
			d.vals["docstatus"] = s.docstatus
		}
		if err := d.save(); err != nil {
			return nil, err
		}
		if _, err := q.addComment(d.m.name, d.name(), "Workflow", t.to); err != nil {
			return nil, err
		}
		return d.asObject(true)
	}
	return nil, q.throw("WorkflowTransitionError", "Not a valid Workflow Action")
}
