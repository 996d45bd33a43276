package store

import (
	_ "os"

	_ "github.com/prmsync/prmsync/cmd/prmsync"
	_ "github.com/prmsync/prmsync/metrics"
)
