package frappetest

import (
	"fmt"
	"strconv"
	"strings"
)

// dialect holds every difference between versions in one place; the rest of
// the package asks it and never compares versions.
type dialect struct {
	name  string
	major int

	v2                 bool // API v1 alias and v2 exist
	excTypeAlways      bool // exc_type also for exceptions without a message
	guestOnBadSecret   bool // a wrong secret or scheme continues as Guest
	disabledUserKeys   bool // keys of disabled users still work
	hideMissing        bool // a missing document or DocType is 403 for callers without right
	tokenUserType      bool // get_user_info knows the user type under a token
	filterReadByLevel  bool // GET of a document hides fields by permlevel
	groupByHidden      bool // lists ignore group_by
	wholeDayBetween    bool // between on Datetime widens every bound to whole days
	isoBoundsMatch     bool // filter bounds with a T find rows
	indentedJSONFields bool // JSON fields given an object are stored indented
	apiNameSet         bool // a name sent along overrides field: naming
	customPrefix       bool // Custom Fields without fieldname get custom_
	typedSingles       bool // get_value of a Single keeps types
	v2Start            bool // v2 lists read start, limit=0 means none
	debugInLists       bool // resource lists honour debug
	wrongVerbDoesNone  bool // a wrong verb answers 200 {} and does nothing
	deleteSaysMessage  bool // DELETE answers {"message":"ok"}
	textErrorsAre200   bool // HTML errors come with status 200
	unlimitedJSON      bool // JSON bodies may exceed max_file_size
	usedHeader         bool // rate limiter adds X-RateLimit-Used
	wholeSecondLeft    bool // rate limiter rounds Remaining to seconds
	workspaceMsg       bool // a public Workspace without the role: 417, else bare 403
	omitNullsInGet     bool // client.get leaves nulls out (released 16)
	countIgnoresPerms  bool // client.get_count checks nothing
	methodNeedsBody    bool // POST run_method with a JSON body wants it in the body
	deskUserRole       bool // System Users have the role Desk User
	htmlDeleteMissing  bool // delete of a missing DocType is a 500 page
}

func dialectOf(version string) (dialect, error) {
	d := dialect{
		name: version, major: 15, v2: true, excTypeAlways: true, hideMissing: true, tokenUserType: true, filterReadByLevel: true,
		isoBoundsMatch: true, apiNameSet: true, customPrefix: true, debugInLists: true, workspaceMsg: true, countIgnoresPerms: true,
		methodNeedsBody: true, deskUserRole: true, wholeSecondLeft: true, htmlDeleteMissing: true,
	}
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	switch {
	case err != nil || n < 14 || n > 16:
		return d, fmt.Errorf("no dialect for Frappe version %q: known are %s, %s, %s and %s (others follow the nearest)", version, V14, V15, V16, V16Later)
	case n == 14:
		d.major, d.v2, d.excTypeAlways, d.guestOnBadSecret, d.disabledUserKeys = 14, false, false, true, true
		d.hideMissing, d.tokenUserType, d.filterReadByLevel, d.groupByHidden, d.wholeDayBetween = false, false, false, true, true
		d.isoBoundsMatch, d.indentedJSONFields, d.apiNameSet, d.customPrefix, d.debugInLists = false, true, false, false, false
		d.wrongVerbDoesNone, d.deleteSaysMessage, d.textErrorsAre200, d.unlimitedJSON, d.usedHeader = true, true, true, true, true
		d.wholeSecondLeft, d.workspaceMsg, d.methodNeedsBody, d.deskUserRole, d.htmlDeleteMissing = false, false, false, false, false
	case n == 16:
		d.major, d.apiNameSet = 16, false
		if version == V16 {
			d.disabledUserKeys, d.hideMissing, d.tokenUserType = true, false, false
		} else {
			d.typedSingles, d.v2Start, d.htmlDeleteMissing = true, true, false
		}
	}
	return d, nil
}
