package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// version is set when a release is linked (-ldflags "-X main.version=1.2.3");
// otherwise the version that Go recorded in the binary is shown.
var version string

type versionCmd struct {
	JSON bool `help:"Print one JSON document."`
}

// Run prints the version, the commit when Go recorded one, and the toolchain.
func (c versionCmd) Run(p process) error {
	v := struct {
		Version  string `json:"version"`
		Commit   string `json:"commit"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v.Version == "" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	if c.JSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	_, err := fmt.Fprintln(p.stdout, strings.Join(strings.Fields("prmsync "+v.Version+" "+v.Commit+" "+v.Go+" "+v.Platform), " "))
	return err
}
