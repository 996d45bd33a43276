package frappetest

import (
	"html"
	"regexp"
	"slices"
	"strings"
)

// runNotifications lets the site's Notifications on New, Save and Value Change
// write Notification Logs for their recipients.
func (q *session) runNotifications(d *document, inserted bool) error {
	t := q.site.tableMap()["Notification"]
	if t == nil || t.len() == 0 || d.parent != nil || d.m.name == "Notification Log" || d.m.name == "Notification" {
		return nil
	}
	for _, r := range t.matching("document_type", d.m.name) {
		if !isTrue(t.get(r, "enabled")) || t.str(r, "channel") != "System Notification" && !isTrue(t.get(r, "send_system_notification")) {
			continue
		}
		fires := false
		switch t.str(r, "event") {
		case "New":
			fires = inserted
		case "Save":
			fires = true
		case "Submit":
			fires = d.action == "submit"
		case "Cancel":
			fires = d.action == "cancel"
		case "Value Change":
			f := t.str(r, "value_changed")
			fires = d.before != nil && cstr(d.before.vals[f]) != cstr(d.vals[f])
		}
		if !fires || !conditionHolds(t.str(r, "condition"), d) {
			continue
		}
		subject := renderTemplate(t.str(r, "subject"), d)
		users := map[string]bool{}
		rt := q.site.table("Notification Recipient")
		for _, rec := range rt.childRows("Notification", r.name, "recipients") {
			if f := rt.str(rec, "receiver_by_document_field"); f != "" {
				if u := d.str(f); u != "" && q.exists("User", u) {
					users[u] = true
				}
			}
			if role := rt.str(rec, "receiver_by_role"); role != "" {
				hr := q.site.table("Has Role")
				for _, h := range hr.matching("role", role) {
					if u := hr.str(h, "parent"); hr.str(h, "parenttype") == "User" && isTrue(q.value("User", u, "enabled")) {
						users[u] = true
					}
				}
			}
		}
		for _, u := range sortedKeys(users) {
			if err := q.notifyUser(u, "Alert", d.m.name, d.name(), subject); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *session) notifyUser(user, kind, doctype, name, subject string) error {
	return q.insertPlain("Notification Log", q.site.newHash(), map[string]any{
		"subject": subject, "for_user": user, "from_user": q.user, "type": kind, "document_type": doctype, "document_name": name, "read": int64(0),
	})
}

var templateValue = regexp.MustCompile(`\{\{\s*\(?(?:doc\.)?(\w+)[^}|]*(?:\|\s*(\w+)[^}]*)?\}\}`)

// renderTemplate fills {{ doc.field }}, escaped where the filter e asks for it;
// other filters are ignored.
func renderTemplate(s string, d *document) string {
	return templateValue.ReplaceAllStringFunc(s, func(m string) string {
		part := templateValue.FindStringSubmatch(m)
		v := cstr(d.vals[part[1]])
		if part[2] == "e" {
			return html.EscapeString(v)
		}
		return v
	})
}

var (
	equalsTest = regexp.MustCompile(`^doc\.(\w+)\s*(==|!=)\s*["']([^"']*)["']$`)
	inTest     = regexp.MustCompile(`^doc\.(\w+)\s+(not in|in)\s+\(?\[?([^)\]]*)\)?\]?$`)
	truthTest  = regexp.MustCompile(`^(not\s+)?doc\.(\w+)$`)
)

// conditionHolds evaluates the simple Python conditions that Notifications
// use: comparisons with a text, membership and truth, joined by "and" or "or".
// What it cannot read holds.
func conditionHolds(cond string, d *document) bool {
	cond = strings.TrimSpace(cond)
	if cond == "" {
		return true
	}
	if !strings.ContainsAny(cond, "()") || inTest.MatchString(cond) {
		if parts := strings.Split(cond, " or "); len(parts) > 1 {
			return slices.ContainsFunc(parts, func(p string) bool { return conditionHolds(p, d) })
		}
	}
	for _, part := range strings.Split(cond, " and ") {
		part = strings.TrimSpace(part)
		if m := equalsTest.FindStringSubmatch(part); m != nil {
			if (d.str(m[1]) == m[3]) != (m[2] == "==") {
				return false
			}
			continue
		}
		if m := inTest.FindStringSubmatch(part); m != nil {
			in := false
			for _, v := range strings.Split(m[3], ",") {
				in = in || strings.Trim(strings.TrimSpace(v), `"'`) == d.str(m[1])
			}
			if in != (m[2] == "in") {
				return false
			}
			continue
		}
		if m := truthTest.FindStringSubmatch(part); m != nil {
			v := d.vals[m[2]]
			t := truthy(v) && !isTextZero(v)
			if t == (m[1] != "") {
				return false
			}
		}
	}
	return true
}

func isTextZero(v any) bool { return v == "0" }
