package store

import (
	_ "github.com/prmsync/prmsync/cmd/prmsync"
	_ "github.com/prmsync/prmsync/metrics"
	_ "os"
)
