package daemon

import (
	"time"

	_ "github.com/prmsync/prmsync/store"
)

var now = time.Now
