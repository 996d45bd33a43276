package partnersite

import (
	"github.com/prmsync/prmsync/config"
)

// DefaultMapping is what a site of these apps (app → version) is taken to keep
// and where, until the partner's mapping says otherwise. Hardly any of its
// channels is authoritative: nobody has promised that all is kept there, so
// what is found counts and silence proves nothing.
func DefaultMapping(versions map[string]string) config.Mapping {
	has := func(app string) bool {
		_, ok := versions[app]
		return ok || len(versions) == 0 && (app == erpnext || app == hrms)
	}
	m := config.Mapping{Evidence: map[config.Kind][]config.Rule{}}
	add := func(k config.Kind, rules ...config.Rule) { m.Evidence[k] = append(m.Evidence[k], rules...) }
	is := func(values ...string) config.Match { return values }

	if has(erpnext) {
		add(config.KindProject, config.Rule{Doctype: "Project", Where: config.Conditions{"customer": {}}, Authoritative: true})
		// A task of a type made for it; else an event that says so in its title.
		task := func(types ...string) config.Rule {
			return config.Rule{Doctype: "Task", Where: config.Conditions{"type": types}, Done: config.Conditions{"status": is("Completed")}, Date: "completed_on"}
		}
		event := func(subjects ...string) config.Rule {
			return config.Rule{Doctype: "Event", Where: config.Conditions{"subject": subjects}, Project: "event_participants.reference_docname", Date: "starts_on"}
		}
		titled := func(subjects ...string) config.Rule {
			return config.Rule{Doctype: "Task", Where: config.Conditions{"subject": subjects}, Done: config.Conditions{"status": is("Completed")}, Date: "completed_on"}
		}
		add(config.KindHandover, task("Handover*from*sales*", "Sales*handover*", "Handover"), titled("*handover from sales*", "*sales handover*"))
		add(config.KindKickOff, task("Kick*off*"), event("*kick-off*", "*kickoff*", "*kick off*"), titled("*kick-off*", "*kickoff*", "*kick off*"))
		add(config.KindSteering, event("*steering*"), task("*steering*"), titled("*steering*"))
		add(config.KindToSupport, task("Handover*to*support*", "Support*handover*"), titled("*handover to support*", "*support handover*"))

		// No stock doctype holds a sign-off: a task of a type made for it with
		// proof, or a file on the project whose name says so.
		sign := func(k config.Kind, typ string, words ...string) {
			r := task(typ + "*sign*off*")
			r.Proof = []string{"file", "mail", "contract"}
			add(k, r)
			var names []string
			for _, w := range words {
				for _, ok := range []string{"sign", "approved", "accepted"} {
					names = append(names, "*"+w+"*"+ok+"*")
				}
			}
			add(k, config.Rule{
				Doctype: "File", Where: config.Conditions{"attached_to_doctype": is("Project"), "file_name": names},
				Project: "attached_to_name", Date: "creation", Proof: []string{"none"},
			})
		}
		sign(config.KindSignOffBRD, "BRD", "brd", "requirement")
		sign(config.KindSignOffUAT, "UAT", "uat", "acceptance test", "user test")
		sign(config.KindSignOffTraining, "Training", "training")
		sign(config.KindSignOffGoLive, "Go*live", "go-live", "golive", "go live")
		sign(config.KindSignOffScope, "Scope*", "scope change", "change request", "change order")
		sign(config.KindSignOffSchedule, "Schedule*", "schedule change", "revised plan", "new timeline")
		sign(config.KindSignOffInvoiceSchedule, "Invoice*Schedule*", "invoice schedule", "payment schedule")

		add(config.KindPlan,
			config.Rule{Doctype: "File", Where: config.Conditions{"attached_to_doctype": is("Project"), "file_name": is("*project plan*", "*project_plan*", "*projectplan*", "*implementation plan*")}, Project: "attached_to_name", Date: "creation"},
			config.Rule{Doctype: "Communication", Where: config.Conditions{"reference_doctype": is("Project"), "sent_or_received": is("Sent"), "subject": is("*project plan*", "*implementation plan*")}, Project: "reference_name", Date: "communication_date"})
		add(config.KindStatus, config.Rule{
			Doctype: "Communication",
			Where:   config.Conditions{"reference_doctype": is("Project"), "sent_or_received": is("Sent"), "subject": is("*weekly status*", "*status report*", "*weekly report*", "*status update*", "*weekly update*")},
			Project: "reference_name", Date: "communication_date",
		})
		add(config.KindReport, config.Rule{Doctype: "Quality Review", Date: "date", Metric: "goal", Value: "reviews.review", Target: "reviews.target", Metrics: map[string]string{
			"impl.metric.overdue_pct":     "*overdue*",
			"impl.metric.satisfaction":    "*satisf*",
			"impl.metric.support_tat":     "*to support*",
			"impl.metric.ready_tat":       "*joining*ready*",
			"sales.metric.conversion":     "*conversion*",
			"sales.metric.demo_feedback":  "*demo*",
			"sales.metric.sales_feedback": "*sales feedback*",
			"support.metric.sla":          "*SLA*",
			"support.metric.feedback":     "*ticket*feedback*",
		}})
		add(config.KindAllHands, config.Rule{Doctype: "Quality Meeting", Date: "name"})
		add(config.KindReview, config.Rule{Doctype: "Quality Review", Date: "date", Fields: map[string]string{"goal": "goal"}})
		add(config.KindAction, config.Rule{Doctype: "Quality Action", Date: "date"})
		add(config.KindScope, config.Rule{Doctype: "File", Where: config.Conditions{"attached_to_doctype": is("Lead", "Opportunity", "Quotation"), "file_name": is("*scope*", "*requirement*", "*brd*", "*discovery*")}, Date: "creation"})
		add(config.KindEstimate, config.Rule{Doctype: "File", Where: config.Conditions{"attached_to_doctype": is("Opportunity", "Quotation"), "file_name": is("*estimat*")}, Date: "creation"})
		add(config.KindTicket, config.Rule{Doctype: "Issue"})
		add(config.KindDeal, config.Rule{Doctype: "Quotation", Date: "transaction_date"})
		add(config.KindSalesProcedure, config.Rule{Doctype: "Quality Procedure", Where: config.Conditions{"quality_procedure_name": is("*sales*", "*sell*")}})
		add(config.KindImplementationProcedure, config.Rule{Doctype: "Quality Procedure", Where: config.Conditions{"quality_procedure_name": is("*implement*", "*deliver*", "*project*")}})
		add(config.KindSupportProcedure, config.Rule{Doctype: "Quality Procedure", Where: config.Conditions{"quality_procedure_name": is("*support*", "*customer success*")}})
	}
	add(config.KindSalesDashboard, dashboards("*sales*", "*pipeline*", "*crm*")...)
	add(config.KindImplementationDashboard, dashboards("*implement*", "*deliver*", "*project*")...)
	add(config.KindSupportDashboard, dashboards("*support*", "*service*", "*ticket*", "*customer success*")...)
	if has(insights) {
		add(config.KindSalesDashboard, config.Rule{Doctype: "Insights Dashboard v3", Where: config.Conditions{"title": is("*sales*", "*pipeline*", "*crm*")}})
		add(config.KindImplementationDashboard, config.Rule{Doctype: "Insights Dashboard v3", Where: config.Conditions{"title": is("*implement*", "*deliver*", "*project*")}})
		add(config.KindSupportDashboard, config.Rule{Doctype: "Insights Dashboard v3", Where: config.Conditions{"title": is("*support*", "*service*", "*ticket*")}})
	}
	if has(helpdesk) {
		m.Evidence[config.KindTicket] = append([]config.Rule{{Doctype: "HD Ticket"}}, m.Evidence[config.KindTicket]...)
		// Helpdesk has a rating field of its own, which customers fill in.
		add(config.KindTicketFeedback, config.Rule{Doctype: "HD Ticket", Date: "resolution_date", Value: "feedback_rating", Scale: 5})
	}
	if has(crm) {
		m.Evidence[config.KindDeal] = append([]config.Rule{{Doctype: "CRM Deal", Date: "closed_date"}}, m.Evidence[config.KindDeal]...)
	}
	if has(hrms) {
		add(config.KindConsultantTraining, config.Rule{Doctype: "Training Event", Where: config.Conditions{"event_name": is("*consultant*", "*ERP*", "*framework*")}, Date: "end_time"})
		add(config.KindSalesTraining, config.Rule{Doctype: "Training Event", Where: config.Conditions{"event_name": is("*sales*")}, Date: "end_time"})
	}
	return m
}

// dashboards are those of the site's own making: standard ones exist everywhere.
func dashboards(titles ...string) []config.Rule {
	return []config.Rule{{Doctype: "Dashboard", Where: config.Conditions{"dashboard_name": titles, "is_standard": {"0"}}}}
}
