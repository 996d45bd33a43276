package packs

import "embed"

// Files holds the packs that come with prmsync, and their tests.
//
//go:embed *.yaml
var Files embed.FS
