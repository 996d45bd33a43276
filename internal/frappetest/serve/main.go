// Command serve puts Frappe sites in memory on a port, to try things against.
//
// What belongs here: flags and the /__test/ control paths. What does not: any
// behaviour of a site, which is frappetest's.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/prmsync/prmsync/internal/frappetest"
)

const usage = `serve puts a Frappe site in memory on a port. It answers the REST API of the
chosen version: documents, lists, methods, files, permissions, schema, errors.

  go run ./internal/frappetest/serve --data DIR --listen 127.0.0.1:8001
  go run ./internal/frappetest/serve --fixture vectors --version 15.72.4 --creds creds.json

Flags:
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fl := flag.NewFlagSet("serve", flag.ContinueOnError)
	fl.Usage = func() {
		fmt.Fprint(fl.Output(), usage)
		fl.PrintDefaults()
		fmt.Fprintf(fl.Output(), "\n%s", frappetest.ControlHelp)
	}
	listen := fl.String("listen", "127.0.0.1:8001", "address and port")
	data := fl.String("data", "", "folder with site.json, meta, docs and files to load")
	fixture := fl.String("fixture", "", "built-in site instead of a folder: bare, vectors")
	version := fl.String("version", frappetest.V15, "Frappe version to speak: 14.27.0, 15.72.4, 16.0.0-dev, 16.0.0-dev-2508")
	tasks := fl.Int("tasks", 0, "generate a partner's site of about so many tasks (a kilobyte each): people, projects, tickets, invoices, reviews")
	seed := fl.Uint64("seed", 1, "seed of the generated site; the same seed gives the same documents")
	profile := fl.String("profile", "healthy", "generated partner: healthy or failing")
	install := fl.String("install", "", "apps to add, separated by commas: erpnext, hrms, press, helpdesk, crm, lms")
	zone := fl.String("zone", "", "time zone of the site, IANA name (default Asia/Kolkata, or the folder's)")
	save := fl.String("save", "", "write the site into this folder and exit")
	creds := fl.String("creds", "", "file to write the users' API keys to, as JSON")
	if err := fl.Parse(args); err != nil {
		return err
	}
	var site *frappetest.Site
	var err error
	keys := map[string]frappetest.VectorCredentials{}
	switch {
	case *fixture == "vectors":
		site, keys, err = frappetest.VectorSite(*version)
	case *fixture != "" && *fixture != "bare":
		return fmt.Errorf("no fixture %q: there are bare and vectors", *fixture)
	default:
		site, err = frappetest.NewSite(frappetest.SiteOptions{Version: *version, TimeZone: *zone})
	}
	if err != nil {
		return err
	}
	if *data != "" {
		if err := site.LoadFS(os.DirFS(*data)); err != nil {
			return err
		}
		if at := site.AsOf(); !at.IsZero() {
			start := time.Now()
			site.SetClock(func() time.Time { return at.Add(time.Since(start)) })
		}
	}
	if *install != "" {
		if err := site.Install(strings.Split(*install, ",")...); err != nil {
			return err
		}
	}
	if *tasks > 0 {
		p := frappetest.Healthy
		switch *profile {
		case "healthy":
		case "failing":
			p = frappetest.Failing
		default:
			return fmt.Errorf("no profile %q: there are healthy and failing", *profile)
		}
		p.Seed, p.Tasks = *seed, *tasks
		reader, err := site.Generate(p)
		if err != nil {
			return err
		}
		keys["reader"] = frappetest.VectorCredentials(reader)
		fmt.Printf("reading user: token %s:%s\n", reader.Key, reader.Secret)
	}
	if *fixture == "bare" {
		key, secret := site.AddUser("admin@site.test", "System Manager", "Workspace Manager", "Website Manager")
		keys["admin"] = frappetest.VectorCredentials{User: "admin@site.test", Key: key, Secret: secret}
	}
	if *creds != "" {
		b, err := json.MarshalIndent(keys, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*creds, append(b, '\n'), 0o600); err != nil {
			return err
		}
	}
	if *save != "" {
		return site.SaveDir(*save)
	}
	srv, err := frappetest.NewServer(frappetest.ServerOptions{Listen: *listen, Extra: site.Control()}, site)
	if err != nil {
		return err
	}
	defer srv.Close()
	if *fixture == "vectors" {
		srv.StrictHosts()
	}
	fmt.Printf("Frappe %s at %s (site %s)\n", site.Version(), srv.URL(), site.Host())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return nil
}
