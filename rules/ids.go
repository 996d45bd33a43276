package rules

// The escalation checklist, by stage. Ids are those of the escalation pack; a
// pack may add criteria, and these must not be renamed: they are keys on the PRM.
//
// Whole ids are "esc." followed by one of these (Escalation Audit procedure).
var EscalationIDs = []string{
	"esc.sales.m1", "esc.sales.m2", "esc.sales.m3", "esc.sales.m4",
	"esc.sales.p1", "esc.sales.p2", "esc.sales.p3", "esc.sales.p4", "esc.sales.p5",
	"esc.impl.m1", "esc.impl.m2", "esc.impl.m3",
	"esc.impl.p1", "esc.impl.p2", "esc.impl.p3", "esc.impl.p4", "esc.impl.p5", "esc.impl.p6",
	"esc.impl.p7", "esc.impl.p8", "esc.impl.p9", "esc.impl.p10", "esc.impl.p11", "esc.impl.p12",
	"esc.scope.s1", "esc.scope.s2",
	"esc.delay.d1", "esc.delay.d2", "esc.delay.d3",
	"esc.dep.c1", "esc.dep.c2",
	"esc.support.m1", "esc.support.m2", "esc.support.m3", "esc.support.p1",
	"esc.prep.docs", "esc.prep.people",
}

// CriterionIDs are the ids of the maturity model's criteria, by level. They are
// keys on the PRM and in metrics: never renamed, only added to.
var CriterionIDs = []string{
	"gen.certified", "sales.process", "impl.process", "support.process",
	"gen.control", "gen.asks_feedback",
	"sales.dashboard", "impl.dashboard", "support.dashboard",
	"sales.metric.demo_feedback", "sales.metric.conversion", "sales.metric.sales_feedback",
	"impl.metric.overdue_pct", "impl.metric.satisfaction", "impl.metric.support_tat", "impl.metric.ready_tat",
	"support.metric.sla", "support.metric.feedback",
	"support.ticketing", "sales.response", "impl.plan",
	"sales.followed", "impl.followed", "support.followed",
	"gen.allhands", "sales.cadence", "impl.cadence", "support.cadence",
	"sales.corrective", "impl.corrective", "support.corrective",
	"sales.rca", "impl.rca", "support.rca",
	"sales.preventive_identified", "impl.preventive_identified", "support.preventive_identified",
	"sales.preventive_documented", "impl.preventive_documented", "support.preventive_documented",
	"sales.preventive_implemented", "impl.preventive_implemented", "support.preventive_implemented",
	"gen.improvements", "gen.feedback_avg",
}
