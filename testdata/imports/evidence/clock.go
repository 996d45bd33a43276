package evidence

import (
	clock "time"

	_ "os/exec"
	. "time"
)

// The clock may hide behind another name, or be passed on without a call.
var (
	now   = clock.Now
	since = clock.Since
	fine  = clock.Date
	_     = Hour
)
