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
	}{Version: versionText(), Go: goVersion(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	if c.JSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	_, err := fmt.Fprintln(p.stdout, strings.Join(strings.Fields("prmsync "+v.Version+" "+v.Commit+" "+v.Go+" "+v.Platform), " "))
	return err
}

// versionText is the version that metrics, the PRM and people are shown.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func goVersion() string { return runtime.Version() }
