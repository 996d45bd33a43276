package partnersite

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/evidence"
)

// people adds staff, their courses and what they passed.
func (s *site) people(snap *evidence.Snapshot) {
	docs := s.docs[doctypeEmployee]
	byUser := make(map[string]string, len(docs))
	for i := range docs {
		r := &docs[i]
		p := evidence.Person{
			Ref: r.Ref, User: r.str("user_id"), Designation: r.str("designation"), Department: r.str("department"),
			Joined: r.date("date_of_joining"), Left: r.date("relieving_date"),
		}
		p.Active = r.str("status") == "Active" && (p.Left.IsZero() || p.Left.After(s.today))
		if p.User != "" {
			byUser[strings.ToLower(p.User)] = r.Name
		}
		snap.People = append(snap.People, p)
	}
	s.trainings(snap, byUser)
	s.certificates(snap)
}

// certificates adds product certificates: those that the PRM keeps of the
// partner, and those of the partner's own learning system.
func (s *site) certificates(snap *evidence.Snapshot) {
	for _, k := range []struct{ doctype, member, course string }{
		{"Partner Certificate", "partner_member_email", "course"},
		{"LMS Certificate", "member", "course"},
	} {
		docs := s.docs[k.doctype]
		for i := range docs {
			r := &docs[i]
			snap.Certificates = append(snap.Certificates, evidence.Certificate{
				Ref: r.Ref, Member: strings.ToLower(r.str(k.member)), Course: r.str(k.course), Version: r.str("version"),
				Issued: r.date("issue_date"), Expires: r.date("expiry_date"),
			})
		}
	}
}

var trainingKinds = []config.Kind{config.KindConsultantTraining, config.KindSalesTraining}

func (s *site) trainings(snap *evidence.Snapshot, byUser map[string]string) {
	kinds := map[owner][]string{}
	var mapped []found // doctypes that only the mapping knows
	for _, k := range trainingKinds {
		for _, f := range s.findAll(k) {
			switch f.Doctype {
			case "Training Event", "Training Result":
				on := owner{f.Doctype, f.Name}
				kinds[on] = append(kinds[on], string(k))
			case "Employee Skill Map":
				s.skills(snap, f, k)
			default:
				mapped = append(mapped, f)
				kinds[owner{f.Doctype, f.Name}] = append(kinds[owner{f.Doctype, f.Name}], string(k))
			}
		}
	}
	events := s.docs["Training Event"]
	for i := range events {
		r := &events[i]
		if !r.stands() {
			continue
		}
		n, _ := r.num("docstatus")
		t := evidence.Training{
			Ref: r.Ref, Title: cmp.Or(r.plain("event_name"), r.Name), Kinds: unique(kinds[owner{r.Doctype, r.Name}]), On: r.date("end_time"),
		}
		t.Held = n == 1 && r.str("event_status") == "Completed" && !t.On.IsZero() && !t.On.After(s.today)
		for _, w := range r.rows("employees") {
			switch e := w.str("employee"); w.str("attendance") {
			case "Present":
				t.Present = append(t.Present, e)
			case "Absent":
				t.Absent = append(t.Absent, e)
			}
		}
		t.Present, t.Absent = unique(t.Present), unique(t.Absent)
		snap.Trainings = append(snap.Trainings, t)
	}
	results := s.docs["Training Result"]
	for i := range results {
		r := &results[i]
		if !r.stands() {
			continue
		}
		n, _ := r.num("docstatus")
		t := evidence.Training{Ref: r.Ref, Title: r.plain("training_event"), On: evidence.DateIn(r.Created, s.loc), Held: n == 1, Certifies: true}
		on := owner{"Training Event", r.str("training_event")}
		if e := s.find(on.doctype, on.name); e != nil && !e.date("end_time").IsZero() {
			t.On = e.date("end_time")
		}
		t.Kinds = unique(append(slices.Clone(kinds[owner{r.Doctype, r.Name}]), kinds[on]...))
		for _, w := range r.rows("employees") {
			t.Present = append(t.Present, w.str("employee"))
		}
		t.Present = unique(t.Present)
		snap.Trainings = append(snap.Trainings, t)
	}
	seen := map[owner]bool{}
	for _, f := range mapped {
		on := owner{f.Doctype, f.Name}
		if seen[on] {
			continue
		}
		seen[on] = true
		t := evidence.Training{
			Ref: f.Ref, Title: cmp.Or(f.plain(cmp.Or(f.rule.Fields["title"], "title")), f.plain("course"), f.Name),
			Kinds: unique(kinds[on]), On: f.on, Held: f.done, Certifies: true,
		}
		who := f.str(cmp.Or(f.rule.Fields["employee"], "employee"))
		if who == "" {
			who = byUser[strings.ToLower(cmp.Or(f.str(cmp.Or(f.rule.Fields["owner"], "member")), f.str("user")))]
		}
		if who != "" {
			t.Present = []string{who}
		}
		snap.Trainings = append(snap.Trainings, t)
	}
}

// skills turns the rows of a skill map that the rule means into courses passed.
func (s *site) skills(snap *evidence.Snapshot, f found, kind config.Kind) {
	where := compile(f.rule.Where)
	for _, w := range f.rows("employee_skills") {
		fits := true
		for _, m := range where {
			if m.table == "employee_skills" {
				text, _ := spell(w.fields[m.field])
				fits = fits && m.holds(text)
			}
		}
		on := w.date("evaluation_date")
		if !fits || on.IsZero() {
			continue
		}
		snap.Trainings = append(snap.Trainings, evidence.Training{
			Ref: f.Ref, Title: w.plain("skill"), Kinds: []string{string(kind)}, On: on, Held: !on.After(s.today),
			Present: unique([]string{f.str("employee")}), Certifies: true,
		})
	}
}
