package packs

import (
	_ "log/slog"
	_ "math/rand/v2"
	_ "net/http"
	_ "net/url"
)
