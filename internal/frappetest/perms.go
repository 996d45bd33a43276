package frappetest

import (
	"slices"
	"strings"
)

// roles are the user's roles and the automatic ones.
func (q *session) roles() map[string]bool {
	if q.roleSet == nil {
		q.roleSet = q.rolesOf(q.user)
	}
	return q.roleSet
}

func (q *session) rolesOf(user string) map[string]bool {
	set := map[string]bool{"Guest": true}
	if user == "Guest" || user == "" {
		return set
	}
	set["All"] = true
	if user == "Administrator" {
		t := q.site.table("Role")
		t.byName.ascend(nil, func(r *row) bool { set[r.name] = true; return true })
		return set
	}
	t := q.site.table("Has Role")
	for _, r := range t.childRows("User", user, "roles") {
		set[t.str(r, "role")] = true
	}
	if q.site.version.deskUserRole && q.value("User", user, "user_type") == "System User" {
		set["Desk User"] = true
	}
	return set
}

func (q *session) isAdmin() bool { return q.user == "Administrator" || q.ignorePerms }

func (q *session) hasRole(role string) bool { return q.isAdmin() || q.roles()[role] }

// rolePerms is what the user's roles allow on a DocType; owner holds the
// rights that exist only for the owner of a document.
type rolePerms struct {
	has      map[string]bool
	owner    map[string]bool
	anyOwner bool
}

func (q *session) rolePerms(m *meta) rolePerms {
	p := rolePerms{has: map[string]bool{}, owner: map[string]bool{}}
	if q.isAdmin() {
		for _, r := range rights {
			p.has[r] = true
		}
		return p
	}
	roles := q.roles()
	var applicable []permRow
	for _, pr := range m.perms {
		if pr.permlevel == 0 && roles[pr.role] {
			applicable = append(applicable, pr)
			p.anyOwner = p.anyOwner || pr.ifOwner
		}
	}
	for _, right := range rights {
		granted, free := false, false
		for _, pr := range applicable {
			if pr.rights[right] {
				granted = true
				free = free || !pr.ifOwner
			}
		}
		p.has[right] = granted
		if granted && p.anyOwner && !free && right != "create" {
			p.owner[right] = true
			p.has[right] = right == "select" || right == "read"
		}
	}
	return p
}

// canType is has_permission on a DocType as a whole. parentType is needed
// for child DocTypes.
func (q *session) canType(doctype, right, parentType string) (bool, error) {
	if q.isAdmin() {
		return true, nil
	}
	m, err := q.meta(doctype)
	if err != nil {
		return false, err
	}
	if m.child {
		if parentType == "" {
			return false, nil
		}
		pm := q.site.metaOf(parentType)
		if pm == nil || pm.child || !hasTable(pm, doctype) {
			return false, nil
		}
		if right != "read" && right != "select" {
			right = "write"
		}
		return q.canType(parentType, right, "")
	}
	if right == "submit" && !m.submittable {
		return false, nil
	}
	if q.rolePerms(m).has[right] {
		return true, nil
	}
	q.notify("User %s does not have doctype access via role permission for document %s", bold(q.user), bold(doctype))
	if slices.Contains([]string{"read", "write", "share", "submit", "email", "print"}, right) && len(q.shared(doctype, right)) > 0 {
		q.messages = q.messages[:len(q.messages)-1]
		return true, nil
	}
	return false, nil
}

func hasTable(m *meta, child string) bool {
	for _, f := range m.tables {
		if f.options == child {
			return true
		}
	}
	return false
}

// shared lists the documents shared with the user.
func (q *session) shared(doctype, right string) []string {
	t := q.site.tableMap()["DocShare"]
	if t == nil || t.len() == 0 {
		return nil
	}
	if right == "email" || right == "print" {
		right = "read"
	}
	var out []string
	for _, r := range t.matching("share_doctype", doctype) {
		if !isTrue(t.get(r, right)) {
			continue
		}
		if t.str(r, "user") == q.user || isTrue(t.get(r, "everyone")) && q.user != "Guest" {
			out = append(out, t.str(r, "share_name"))
		}
	}
	return out
}

type userPermission struct {
	value, applicable string
	isDefault         bool
}

// userPermissions are the User Permission rows of the user by DocType.
func (q *session) userPermissions() map[string][]userPermission {
	t := q.site.tableMap()["User Permission"]
	if t == nil || t.len() == 0 || q.isAdmin() {
		return nil
	}
	out := map[string][]userPermission{}
	for _, r := range t.matching("user", q.user) {
		p := userPermission{value: t.str(r, "for_value"), isDefault: isTrue(t.get(r, "is_default"))}
		if !isTrue(t.get(r, "apply_to_all_doctypes")) {
			p.applicable = t.str(r, "applicable_for")
		}
		allow := t.str(r, "allow")
		out[allow] = append(out[allow], p)
		if am := q.site.metaOf(allow); am != nil && am.tree && !isTrue(t.get(r, "hide_descendants")) {
			for _, d := range q.descendants(allow, p.value) {
				out[allow] = append(out[allow], userPermission{value: d, applicable: p.applicable})
			}
		}
	}
	return out
}

func (q *session) strictUserPermissions() bool {
	return isTrue(q.value("System Settings", "System Settings", "apply_strict_user_permissions"))
}

// allowedByUserPermissions checks a document's own name and its links.
func (q *session) allowedByUserPermissions(d *document) bool {
	ups := q.userPermissions()
	if len(ups) == 0 {
		return true
	}
	strict := q.strictUserPermissions()
	if own := ups[d.m.name]; len(own) > 0 {
		var allowed []string
		for _, p := range own {
			if p.applicable == "" || p.applicable == d.m.name {
				allowed = append(allowed, p.value)
			}
		}
		if len(allowed) > 0 && d.name() != "" && !containsFold(allowed, d.name()) {
			return false
		}
	}
	check := func(doc *document) bool {
		for _, f := range doc.m.links {
			if f.typ != "Link" || f.ignoreUP {
				continue
			}
			v := cstr(doc.vals[f.name])
			if v == "" && !strict {
				continue
			}
			var allowed []string
			for _, p := range ups[f.options] {
				if p.applicable == "" || p.applicable == d.m.name {
					allowed = append(allowed, p.value)
				}
			}
			if len(allowed) > 0 && !containsFold(allowed, v) {
				return false
			}
		}
		return true
	}
	if !check(d) {
		return false
	}
	for _, f := range d.m.tables {
		for _, c := range d.kids[f.name] {
			if !check(c) {
				return false
			}
		}
	}
	return true
}

func containsFold(list []string, v string) bool {
	for _, x := range list {
		if fold(x) == fold(v) {
			return true
		}
	}
	return false
}

// docPerms are the rights on one document.
func (q *session) docPerms(d *document) map[string]bool {
	out := map[string]bool{}
	if q.isAdmin() {
		for _, r := range rights {
			out[r] = true
		}
		return out
	}
	rp := q.rolePerms(d.m)
	owner := strings.EqualFold(cstr(d.vals["owner"]), q.user)
	for k, v := range rp.has {
		out[k] = v
	}
	if !d.m.submittable {
		out["submit"] = false
	}
	if rp.anyOwner {
		for k := range rp.owner {
			out[k] = owner
		}
	}
	if !q.allowedByUserPermissions(d) {
		if !owner {
			return map[string]bool{}
		}
		out = map[string]bool{}
		for k := range rp.owner {
			out[k] = true
		}
		out["create"] = false
	}
	return out
}

// can is has_permission on a document: controller, roles, owner, User
// Permissions, shares.
func (q *session) can(d *document, right string) bool {
	if q.isAdmin() {
		return true
	}
	if d.m.child {
		return q.canChild(d, right)
	}
	before := len(q.messages)
	ok, decided := q.controllerAllows(d, right)
	if decided && !ok {
		q.notify("Not allowed via controller permission check")
	} else if q.docPerms(d)[right] {
		return true
	}
	msg := "User " + bold(q.user) + " does not have access to this document"
	refused := len(q.messages)
	if may, _ := q.canType(d.m.name, "read", ""); may {
		msg += ": " + d.m.name + " - " + d.name()
	}
	q.messages = q.messages[:refused]
	q.messages = append(q.messages, message{text: msg, title: "Message"})
	if slices.Contains([]string{"read", "write", "share", "submit", "email", "print"}, right) && containsFold(q.shared(d.m.name, right), d.name()) {
		q.messages = q.messages[:before]
		return true
	}
	return false
}

func (q *session) canChild(d *document, right string) bool {
	pt, p := cstr(d.vals["parenttype"]), cstr(d.vals["parent"])
	if pt == "" || p == "" {
		return false
	}
	parent, err := q.getDoc(pt, p)
	if err != nil {
		return false
	}
	f := parent.m.byName[cstr(d.vals["parentfield"])]
	if f == nil {
		return false
	}
	if f.permlevel > 0 && !slices.Contains(q.levels(parent.m, "read"), f.permlevel) {
		return false
	}
	if right != "read" && right != "select" {
		right = "write"
	}
	return q.can(parent, right)
}

// levels are the permlevels on which the user's roles have a right.
func (q *session) levels(m *meta, right string) []int {
	if q.isAdmin() {
		out := make([]int, 10)
		for i := range out {
			out[i] = i
		}
		return out
	}
	roles := q.roles()
	var out []int
	for _, p := range m.perms {
		if roles[p.role] && p.rights[right] && !slices.Contains(out, p.permlevel) {
			out = append(out, p.permlevel)
		}
	}
	return out
}

// typeRefused is check_doctype_permission: where the roles give no such right
// on the DocType as a whole, the answer says only that, without a traceback.
func (q *session) typeRefused(doctype, right string) *exception {
	kept := q.messages
	q.messages = nil
	ok, err := q.typeRight(doctype, right)
	if err != nil || ok {
		q.messages = kept
		return nil
	}
	q.messages = nil
	q.notify("User %s does not have doctype access via role permission for document %s", bold(q.user), bold(doctype))
	q.errorMessage = "No permission for " + doctype
	e := raise("PermissionError", "")
	e.untraced = true
	return e
}

// typeRight is canType without regard to shares.
func (q *session) typeRight(doctype, right string) (bool, error) {
	m := q.site.metaOf(doctype)
	if m == nil || m.child || q.isAdmin() {
		return q.canType(doctype, right, "")
	}
	return q.rolePerms(m).has[right] && (right != "submit" || m.submittable), nil
}

// denied is check_permission's refusal.
func (q *session) denied(d *document, right string) *exception {
	switch {
	case q.site.version.hideMissing:
		if e := q.typeRefused(d.m.name, right); e != nil {
			return e
		}
		fallthrough
	case q.site.version.major > 14:
		q.errorMessage = "You need the '" + right + "' permission on " + bold(d.m.name) + " " + d.name() + " to perform this action."
	default:
		q.errorMessage = "Insufficient Permission for " + d.m.name
	}
	return raise("PermissionError", "")
}

func (q *session) checkPermission(d *document, right string) error {
	if q.can(d, right) {
		return nil
	}
	return q.denied(d, right)
}

// controllerAllows are the has_permission hooks of the framework's own
// DocTypes: a second true says that the hook decides.
func (q *session) controllerAllows(d *document, right string) (allowed, decided bool) {
	switch d.m.name {
	case "Event":
		if right == "create" || d.isNew {
			return true, false
		}
		if cstr(d.vals["event_type"]) == "Public" || cstr(d.vals["owner"]) == q.user {
			return true, false
		}
		return false, true
	case "ToDo":
		if q.privileged("ToDo") || d.isNew || cstr(d.vals["allocated_to"]) == q.user || cstr(d.vals["assigned_by"]) == q.user || cstr(d.vals["owner"]) == q.user {
			return true, false
		}
		return false, true
	case "Communication":
		if right != "read" {
			return true, false
		}
		if rd, rn := cstr(d.vals["reference_doctype"]), cstr(d.vals["reference_name"]); rd == "Communication" && rn == d.name() {
			return false, true
		}
		return true, false
	case "File":
		return q.fileAllowed(d, right), true
	case "User":
		if d.name() == "Administrator" || d.name() == "Guest" {
			return false, true
		}
		return true, false
	case "Notification Log", "Notification Settings":
		if cstr(d.vals["for_user"]) == q.user || d.m.name == "Notification Settings" && d.name() == q.user {
			return true, false
		}
		return false, true
	case "HD Ticket":
		return q.hasRole("Agent") || cstr(d.vals["raised_by"]) == q.user || cstr(d.vals["owner"]) == q.user || cstr(d.vals["contact"]) == q.user, true
	case "Workspace", "Dashboard Chart", "Number Card", "Dashboard":
		return true, false
	}
	return true, false
}

// privileged says whether the user has a role with rights on a DocType that
// is not one of the automatic ones.
func (q *session) privileged(doctype string) bool {
	if q.isAdmin() {
		return true
	}
	m := q.site.metaOf(doctype)
	if m == nil {
		return false
	}
	roles := q.roles()
	for _, p := range m.perms {
		if roles[p.role] && p.rights["read"] && p.role != "All" && p.role != "Guest" && p.role != "Desk User" {
			return true
		}
	}
	return false
}

// queryHook is permission_query_conditions: which rows of a DocType a list
// shows at all. A nil hook hides nothing.
func (q *session) queryHook(m *meta, t *table) func(*row) bool {
	if q.isAdmin() {
		return nil
	}
	switch m.name {
	case "Event":
		shared := map[string]bool{}
		if q.site.version.major >= 16 {
			for _, n := range q.shared("Event", "read") {
				shared[n] = true
			}
		}
		return func(r *row) bool {
			return t.str(r, "event_type") == "Public" || t.str(r, "owner") == q.user || shared[r.name]
		}
	case "Communication":
		roles := q.roles()
		if roles["System Manager"] || roles["Super Email User"] {
			return nil
		}
		accounts := map[string]bool{}
		ue := q.site.table("User Email")
		for _, r := range ue.childRows("User", q.user, "user_emails") {
			accounts[ue.str(r, "email_account")] = true
		}
		return func(r *row) bool {
			if t.str(r, "communication_medium") != "Email" {
				return true
			}
			return accounts[t.str(r, "email_account")]
		}
	case "File":
		if q.value("User", q.user, "user_type") != "System User" {
			return func(r *row) bool { return t.str(r, "owner") == q.user }
		}
		readable := map[string]bool{}
		return func(r *row) bool {
			dt := t.str(r, "attached_to_doctype")
			switch {
			case !isTrue(t.get(r, "is_private")):
				return true
			case dt == "":
				return t.str(r, "owner") == q.user
			}
			ok, known := readable[dt]
			if !known {
				before := len(q.messages)
				ok, _ = q.canType(dt, "read", "")
				q.messages = q.messages[:before]
				readable[dt] = ok
			}
			return ok
		}
	case "ToDo":
		if q.privileged("ToDo") {
			return nil
		}
		return func(r *row) bool {
			return t.str(r, "allocated_to") == q.user || t.str(r, "assigned_by") == q.user
		}
	case "User":
		return func(r *row) bool { return r.name != "Administrator" && r.name != "Guest" }
	case "Notification Log":
		return func(r *row) bool { return t.str(r, "for_user") == q.user }
	case "HD Ticket":
		if q.hasRole("Agent") {
			return nil
		}
		return func(r *row) bool { return t.str(r, "raised_by") == q.user || t.str(r, "contact") == q.user }
	case "Note":
		return func(r *row) bool { return isTrue(t.get(r, "public")) || t.str(r, "owner") == q.user }
	}
	return nil
}

// matchRows is everything that a list applies by itself: owner constraint,
// User Permissions, query hook, shares. Nil shows all. An error is the
// refusal of the whole list.
func (q *session) matchRows(m *meta, t *table) (func(*row) bool, error) {
	if q.isAdmin() {
		return nil, nil
	}
	hook := q.queryHook(m, t)
	rp := q.rolePerms(m)
	if m.child {
		return hook, nil
	}
	var match func(*row) bool
	var shared map[string]bool
	loadShared := func() {
		shared = map[string]bool{}
		for _, n := range q.shared(m.name, "read") {
			shared[fold(n)] = true
		}
	}
	switch {
	case !rp.has["read"] && !rp.has["select"]:
		loadShared()
		if len(shared) == 0 {
			return nil, q.throw("PermissionError", "No permission to read %s", m.name)
		}
		return func(r *row) bool { return shared[fold(r.name)] && (hook == nil || hook(r)) }, nil
	case rp.anyOwner && (rp.owner["read"] || rp.owner["select"]) && (rp.owner["read"] || !rp.has["read"]) && (rp.owner["select"] || !rp.has["select"]):
		loadShared()
		match = func(r *row) bool { return strings.EqualFold(t.str(r, "owner"), q.user) }
	default:
		if match = q.userPermissionMatch(m, t); match != nil {
			loadShared()
		}
	}
	if match == nil {
		return hook, nil
	}
	return func(r *row) bool {
		ok := match(r) && (hook == nil || hook(r))
		return ok || shared[fold(r.name)]
	}, nil
}

func (q *session) userPermissionMatch(m *meta, t *table) func(*row) bool {
	ups := q.userPermissions()
	if len(ups) == 0 {
		return nil
	}
	strict := q.strictUserPermissions()
	type rule struct {
		col     string
		allowed map[string]bool
	}
	var rules []rule
	add := func(col, target string) {
		set := map[string]bool{}
		for _, p := range ups[target] {
			if p.applicable == "" || p.applicable == m.name {
				set[fold(p.value)] = true
			}
		}
		if len(set) > 0 {
			rules = append(rules, rule{col, set})
		}
	}
	for _, f := range m.links {
		if f.typ == "Link" && !f.ignoreUP {
			add(f.name, f.options)
		}
	}
	add("name", m.name)
	if len(rules) == 0 {
		return nil
	}
	return func(r *row) bool {
		for _, x := range rules {
			v := cstr(t.get(r, x.col))
			if v == "" && !strict {
				continue
			}
			if !x.allowed[fold(v)] {
				return false
			}
		}
		return true
	}
}

// permittedColumns are the columns of a DocType that the user may see in
// lists, in order.
func (q *session) permittedColumns(m *meta, parentType string) []string {
	switch m.name {
	case "DocType", "DocField", "DocPerm", "DocType Action", "DocType Link", "DocType State", "Custom Field", "Property Setter", "Custom DocPerm", "Module Def":
		return m.columns
	}
	pm := m
	if m.child {
		if pm = q.site.metaOf(parentType); pm == nil {
			return defaultColumns
		}
	}
	if m.maxLevel == 0 && (q.isAdmin() || slices.Contains(q.levels(pm, "read"), 0)) {
		return m.columns
	}
	levels := q.levels(pm, "read")
	if !slices.Contains(levels, 0) && len(q.shared(pm.name, "read")) > 0 {
		levels = append(levels, 0)
	}
	out := append([]string(nil), defaultColumns...)
	for _, c := range m.columns {
		f := m.byName[c]
		if isDefaultColumn(c) || isChildColumn(c) {
			continue
		}
		if f != nil && (slices.Contains(levels, f.permlevel) || len(pm.perms) == 0) {
			out = append(out, c)
		}
	}
	if m.child {
		out = append(out, childColumns...)
	}
	return out
}
