package partnersite

import (
	"slices"
	"strings"
)

// purpose says which part of a partner's work a stream tells about.
type purpose uint8

const (
	sales purpose = 1 << iota
	delivery
	support
	anywhere = sales | delivery | support
)

// purposes maps the purpose of a site, as configured, to what is read there.
// An unknown one reads everything.
func purposes(name string) purpose {
	switch strings.ToLower(name) {
	case "sales":
		return sales
	case "delivery":
		return delivery
	case "support":
		return support
	}
	return anywhere
}

// A stream is one doctype as it is read from a site: the fields that checks
// use, and what is lost when it cannot be read.
//
// Fields are written in one text, separated by spaces. `a|b` is a field that
// newer versions call a and older ones b; it is stored as a. `!a` is one
// without which the stream proves nothing, so that its absence is a Drifted
// gap. `a@` holds mail addresses, of which only the domains are kept. `a?` is
// kept as "1" where there is text and "" where there is none. The name, owner,
// creation, modified_by and docstatus of every record are read besides.
type stream struct {
	doctype  string
	app      string // that brings it, by its key in the list of versions
	serves   purpose
	fields   string
	children map[string]string // table field → fields of its rows
	single   bool
	// grows marks logs, of which nothing changes: they are read from a horizon on
	// and not compared again.
	grows bool
	// core streams are missed on a site that lacks the doctype; the others are
	// missed only when the mapping names them.
	core bool
	// role is the least standard role that may read it, shown in remedies.
	role string
	// degrades lists the criteria that cannot be judged without it.
	degrades string
}

const (
	erpnext   = "erpnext"
	framework = "frappe"
	hrms      = "hrms"
	helpdesk  = "helpdesk"
	crm       = "crm"
	lms       = "lms"
	insights  = "insights"
)

const (
	implementation = "impl.metric.overdue_pct impl.metric.satisfaction impl.metric.support_tat impl.followed impl.plan esc.impl.p3 esc.impl.p4 esc.impl.p5 esc.impl.p6 esc.impl.p7 esc.impl.p8"
	cadence        = "gen.allhands sales.cadence impl.cadence support.cadence"
	actions        = "sales.corrective impl.corrective support.corrective sales.rca impl.rca support.rca " +
		"sales.preventive_identified impl.preventive_identified support.preventive_identified gen.improvements"
	tickets = "support.metric.sla support.metric.feedback support.ticketing support.followed esc.impl.p11 esc.impl.p12 esc.support.p1"
)

// streams is everything that can be read from a partner's site besides the
// doctypes that only its mapping names. The larger ones of each site come
// first, so that two of them are under way from the start.
var streams = []stream{
	{
		doctype: "Task", app: erpnext, serves: delivery, core: true, role: "Projects User", degrades: implementation,
		fields: "!subject !project !status type priority !is_group is_milestone is_template template_task parent_task " +
			"depends_on_tasks exp_start_date !exp_end_date !completed_on completed_by review_date progress issue department _assign",
		children: map[string]string{"depends_on": "task"},
	},
	{
		doctype: "Communication", app: framework, serves: anywhere, role: "Super Email User",
		degrades: "impl.plan sales.response esc.impl.p9 esc.dep.c1 esc.dep.c2",
		fields: "subject communication_type communication_medium !sent_or_received !communication_date sender@ recipients@ cc@ bcc@ " +
			"reference_doctype reference_name email_template has_attachment",
		children: map[string]string{"timeline_links": "link_doctype link_name"},
	},
	{
		doctype: "Version", app: framework, grows: true, serves: anywhere, role: "System Manager",
		degrades: "esc.delay.d1 esc.delay.d2 esc.delay.d3", fields: "!ref_doctype !docname data",
	},
	{
		doctype: "Comment", app: framework, grows: true, serves: anywhere, role: "System Manager",
		fields: "!comment_type reference_doctype reference_name content",
	},
	{
		doctype: "Issue", app: erpnext, serves: support, core: true, role: "Support Team", degrades: tickets,
		fields: "subject !status customer project issue_type priority raised_by@ opening_date opening_time " +
			"service_level_agreement service_level_agreement_creation response_by first_responded_on " +
			"!sla_resolution_by|resolution_by !sla_resolution_date|resolution_date agreement_status on_hold_since total_hold_time " +
			"issue_split_from lead _assign",
	},
	{
		doctype: "HD Ticket", app: helpdesk, serves: support, role: "Agent", degrades: tickets,
		fields: "subject !status status_category customer ticket_type priority agent_group raised_by@ opening_date opening_time " +
			"sla service_level_agreement_creation response_by first_responded_on !resolution_by !resolution_date agreement_status " +
			"on_hold_since total_hold_time feedback_rating feedback feedback_extra? is_merged merged_with _assign",
	},
	{
		doctype: "Timesheet", app: erpnext, serves: delivery, role: "Projects User",
		fields:   "parent_project employee user start_date end_date total_hours",
		children: map[string]string{"time_logs": "from_time hours project task"},
	},
	{
		doctype: "File", app: framework, serves: anywhere, role: "a role with desk access",
		degrades: "impl.followed impl.plan esc.sales.p3 esc.sales.p4 esc.impl.p5 esc.impl.p6 esc.impl.p7 esc.impl.p8 esc.prep.docs",
		fields:   "!file_name file_url attached_to_doctype attached_to_name attached_to_field content_hash is_private file_size is_folder",
	},
	{
		doctype: "Sales Invoice", app: erpnext, serves: sales | delivery, core: true, role: "Accounts User",
		degrades: "esc.sales.p5 esc.impl.p3 esc.scope.s2",
		fields:   "customer project !posting_date is_return is_opening return_against status amended_from set_posting_time",
		children: map[string]string{"items": "project sales_order"},
	},
	{
		doctype: "Sales Order", app: erpnext, serves: sales | delivery, core: true, role: "Sales User",
		degrades: "sales.metric.conversion esc.scope.s1 esc.scope.s2 esc.delay.d3",
		fields:   "customer project !transaction_date status amended_from base_grand_total grand_total",
		children: map[string]string{"items": "prevdoc_docname project", "payment_schedule": "due_date invoice_portion payment_amount"},
	},
	{
		doctype: "Quotation", app: erpnext, serves: sales, core: true, role: "Sales User",
		degrades: "sales.metric.conversion sales.followed esc.sales.p3 esc.sales.p4",
		fields:   "quotation_to party_name !transaction_date valid_till status opportunity crm_deal amended_from order_lost_reason? terms? utm_source|source",
		children: map[string]string{"items": "prevdoc_doctype prevdoc_docname"},
	},
	{
		doctype: "Lead", app: erpnext, serves: sales, core: true, role: "Sales User",
		degrades: "sales.response sales.followed esc.sales.p2",
		fields: "status company_name email_id@ lead_owner customer qualification_status qualified_by qualified_on utm_source|source " +
			"service_level_agreement response_by first_responded_on agreement_status _assign",
		children: map[string]string{"notes": "note? added_on"},
	},
	{
		doctype: "Opportunity", app: erpnext, serves: sales, role: "Sales User", degrades: "sales.metric.conversion esc.sales.p1",
		fields: "opportunity_from party_name customer_name !status transaction_date sales_stage opportunity_owner expected_closing " +
			"order_lost_reason? contact_email@ utm_source|source _assign",
		children: map[string]string{"notes": "note? added_on"},
	},
	{
		doctype: "CRM Lead", app: crm, serves: sales, role: "Sales User", degrades: "sales.response sales.followed esc.sales.p2",
		fields: "!status organization email@ lead_owner source converted lost_reason sla sla_status sla_creation response_by first_responded_on _assign",
		children: map[string]string{
			"status_change_log": "from to from_date to_date from_type to_type log_owner",
		},
	},
	{
		doctype: "CRM Deal", app: crm, serves: sales, role: "Sales User", degrades: "sales.metric.conversion sales.followed esc.sales.p1",
		fields: "!status organization organization_name lead deal_owner email@ source closed_date expected_closure_date lost_reason " +
			"sla sla_status sla_creation response_by first_responded_on _assign",
		children: map[string]string{
			"status_change_log": "from to from_date to_date from_type to_type log_owner",
		},
	},
	{
		doctype: "Contact", app: framework, serves: anywhere, role: "Sales User", degrades: "esc.impl.p9 esc.dep.c1",
		fields:   "company_name email_id@ user",
		children: map[string]string{"email_ids": "email_id@", "links": "link_doctype link_name"},
	},
	{
		doctype: "Customer", app: erpnext, serves: anywhere, core: true, role: "Sales User", degrades: "impl.metric.satisfaction esc.impl.p9",
		fields: "customer_name customer_type lead_name opportunity_name account_manager disabled email_id@ website",
	},
	{doctype: "HD Customer", app: helpdesk, serves: support, role: "Agent", fields: "customer_name domain erpnext_customer email_id@"},
	{
		doctype: "Project", app: erpnext, serves: delivery, core: true, role: "Projects User", degrades: implementation,
		fields: "!project_name !status !customer project_type project_template sales_order expected_start_date expected_end_date " +
			"actual_start_date actual_end_date percent_complete priority department is_active company _assign",
		children: map[string]string{"users": "user"},
	},
	{doctype: "Project Update", app: erpnext, serves: delivery, role: "Projects User", fields: "project date sent"},
	{
		doctype: "Project Template", app: erpnext, serves: delivery, role: "System Manager", degrades: "esc.impl.p4",
		fields: "project_type", children: map[string]string{"tasks": "task subject"},
	},
	{doctype: "Task Type", app: erpnext, serves: delivery, role: "Projects Manager", fields: ""},
	{
		doctype: "Contract", app: erpnext, serves: sales | delivery, role: "Sales Manager", degrades: "esc.scope.s1 esc.delay.d1",
		fields: "party_type party_name status is_signed signed_on start_date end_date document_type document_name amended_from",
	},
	{
		doctype: "Event", app: framework, serves: anywhere, role: "a role with desk access", degrades: "esc.impl.p3 esc.impl.p10 esc.sales.p5",
		fields: "!subject event_category event_type !starts_on ends_on all_day status repeat_this_event repeat_on repeat_till " +
			"reference_doctype reference_docname",
		children: map[string]string{"event_participants": "reference_doctype reference_docname email@"},
	},
	{
		doctype: "ToDo", app: framework, serves: anywhere, role: "a role with a read row on ToDo", degrades: "support.followed",
		fields: "status priority date reference_type reference_name allocated_to assigned_by assignment_rule",
	},

	{
		doctype: "Quality Review", app: erpnext, serves: anywhere, core: true, role: "a role with desk access", degrades: cadence,
		fields: "!goal !date procedure status", children: map[string]string{"reviews": "objective target uom review status"},
	},
	{
		doctype: "Quality Action", app: erpnext, serves: anywhere, core: true, role: "a role with desk access", degrades: actions,
		fields: "!date !corrective_preventive goal procedure status review feedback",
		children: map[string]string{
			"resolutions": "problem resolution status responsible completion_by",
		},
	},
	{
		doctype: "Quality Meeting", app: erpnext, serves: anywhere, core: true, role: "a role with desk access", degrades: cadence + " " + actions,
		fields: "status", children: map[string]string{"agenda": "agenda", "minutes": "minute document_type document_name"},
	},
	{
		doctype: "Quality Goal", app: erpnext, serves: anywhere, core: true, role: "a role with desk access", degrades: cadence,
		fields: "goal frequency weekday date procedure", children: map[string]string{"objectives": "objective target uom"},
	},
	{
		doctype: "Quality Procedure", app: erpnext, serves: anywhere, core: true, role: "a role with desk access",
		degrades: "sales.process impl.process support.process",
		fields:   "quality_procedure_name process_owner parent_quality_procedure is_group",
		children: map[string]string{"processes": "process_description? procedure"},
	},
	{
		doctype: "Quality Feedback", app: erpnext, serves: anywhere, role: "a role with desk access", degrades: "gen.asks_feedback",
		fields: "template document_type document_name", children: map[string]string{"parameters": "parameter rating feedback?"},
	},
	{
		doctype: "Non Conformance", app: erpnext, serves: anywhere, role: "Employee", degrades: "sales.rca impl.rca support.rca",
		fields: "subject procedure status process_owner details corrective_action preventive_action",
	},

	{
		doctype: "Service Level Agreement", app: erpnext, serves: anywhere, core: true, role: "a role with desk access",
		degrades: "gen.control support.metric.sla",
		fields: "service_level document_type enabled default_service_level_agreement default_priority entity_type entity " +
			"holiday_list start_date end_date apply_sla_for_resolution",
		children: map[string]string{
			"priorities":             "priority response_time resolution_time default_priority",
			"support_and_resolution": "workday start_time end_time", "pause_sla_on": "status", "sla_fulfilled_on": "status",
		},
	},
	{
		doctype: "HD Service Level Agreement", app: helpdesk, serves: support, role: "Agent", degrades: "gen.control support.metric.sla",
		fields: "service_level enabled default_sla default_priority holiday_list start_date end_date apply_sla_for_resolution",
		children: map[string]string{
			"priorities":             "priority response_time resolution_time default_priority",
			"support_and_resolution": "workday start_time end_time",
		},
	},
	{
		doctype: "CRM Service Level Agreement", app: crm, serves: sales, role: "Sales User", degrades: "gen.control sales.response",
		fields: "sla_name enabled default apply_on holiday_list start_date end_date rolling_responses",
		children: map[string]string{
			"priorities":    "priority response_time default_priority",
			"working_hours": "workday start_time end_time",
		},
	},
	{doctype: "HD Ticket Status", app: helpdesk, serves: support, role: "Agent", fields: "category"},
	{doctype: "CRM Lead Status", app: crm, serves: sales, role: "Sales User", fields: "type"},
	{doctype: "CRM Deal Status", app: crm, serves: sales, role: "Sales User", fields: "type probability"},
	{
		doctype: "Holiday List", app: erpnext, serves: anywhere, core: true, role: "Employee", degrades: "support.metric.sla sales.response",
		fields: "holiday_list_name from_date to_date", children: map[string]string{"holidays": "holiday_date weekly_off"},
	},
	{
		doctype: "HD Service Holiday List", app: helpdesk, serves: support, role: "Agent", degrades: "support.metric.sla",
		fields: "from_date to_date", children: map[string]string{"holidays": "holiday_date weekly_off"},
	},
	{
		doctype: "CRM Holiday List", app: crm, serves: sales, role: "Sales User", degrades: "sales.response",
		fields: "from_date to_date", children: map[string]string{"holidays": "date weekly_off"},
	},
	{doctype: "Company", app: erpnext, serves: anywhere, role: "Employee", fields: "default_holiday_list is_group"},
	{
		doctype: "Support Settings", app: erpnext, serves: support, single: true, role: "System Manager", degrades: "gen.control",
		fields: "track_service_level_agreement close_issue_after_days allow_resetting_service_level_agreement",
	},
	{
		doctype: "Assignment Rule", app: framework, serves: anywhere, role: "System Manager", degrades: "gen.control",
		fields: "document_type disabled rule priority",
	},
	{
		doctype: "Notification", app: framework, serves: anywhere, role: "System Manager", degrades: "gen.control",
		fields: "document_type enabled is_standard event channel days_in_advance",
	},
	{
		doctype: "Dashboard", app: framework, serves: anywhere, role: "a role with desk access",
		degrades: "sales.dashboard impl.dashboard support.dashboard",
		fields:   "dashboard_name is_standard is_default module", children: map[string]string{"charts": "chart", "cards": "card"},
	},
	{
		doctype: "Dashboard Chart", app: framework, serves: anywhere, role: "a role with desk access",
		degrades: "sales.dashboard impl.dashboard support.dashboard",
		fields:   "chart_name chart_type document_type report_name is_public is_standard",
	},
	{
		doctype: "Number Card", app: framework, serves: anywhere, role: "a role with desk access",
		fields: "label type document_type report_name is_public is_standard",
	},
	{
		doctype: "Insights Dashboard v3", app: insights, serves: anywhere, role: "Insights User",
		degrades: "sales.dashboard impl.dashboard support.dashboard", fields: "title workbook is_public",
	},

	{
		doctype: "Employee", app: erpnext, serves: anywhere, core: true, role: "HR User",
		degrades: "impl.metric.ready_tat gen.certified esc.sales.p1 esc.impl.p1 esc.impl.p2",
		fields:   "user_id company_email@ date_of_joining designation department !status relieving_date",
	},
	{
		doctype: "Training Event", app: hrms, serves: anywhere, core: true, role: "HR Manager",
		degrades: "impl.metric.ready_tat esc.sales.p1 esc.impl.p1 esc.impl.p2",
		fields:   "event_name training_program course type !event_status has_certificate start_time !end_time",
		children: map[string]string{"employees": "employee status attendance"},
	},
	{
		doctype: "Training Result", app: hrms, serves: anywhere, role: "HR Manager", degrades: "esc.sales.p1",
		fields: "training_event", children: map[string]string{"employees": "employee grade hours"},
	},
	{
		doctype: "Employee Skill Map", app: hrms, serves: anywhere, role: "System Manager", degrades: "impl.metric.ready_tat",
		fields: "employee designation", children: map[string]string{
			"employee_skills": "skill proficiency evaluation_date", "trainings": "training training_date",
		},
	},
	{
		doctype: "LMS Certificate", app: lms, serves: anywhere, role: "LMS Student", degrades: "gen.certified esc.impl.p1",
		fields: "member course course_title issue_date expiry_date",
	},
	// Last: what it says about other streams is to be checked after they were read.
	{doctype: "Deleted Document", app: framework, grows: true, serves: anywhere, role: "System Manager", fields: "!deleted_doctype !deleted_name restored new_name data"},
}

// column is one field of a stream as the table above writes it.
type column struct {
	name      string   // as it is stored
	older     []string // what older versions call it
	essential bool
	mail      bool
	presence  bool
}

func columns(spec string) []column {
	var out []column
	for token := range strings.FieldsSeq(spec) {
		var c column
		token, c.essential = strings.CutPrefix(token, "!")
		token, c.mail = strings.CutSuffix(token, "@")
		token, c.presence = strings.CutSuffix(token, "?")
		names := strings.Split(token, "|")
		c.name, c.older = names[0], names[1:]
		out = append(out, c)
	}
	return out
}

// streamOf returns the table's stream for the doctype.
func streamOf(doctype string) (stream, bool) {
	i := slices.IndexFunc(streams, func(s stream) bool { return s.doctype == doctype })
	if i < 0 {
		return stream{}, false
	}
	return streams[i], true
}
