package sites

import (
	_ "github.com/prmsync/prmsync/evidence"
	_ "github.com/prmsync/prmsync/internal/frappetest"
)
