// Command prmsync parses flags, wires the rooms together and turns outcomes into exit codes; one file per subcommand.
// It is the only place that knows every room: reading, judging, storing and writing all happen elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/sethvargo/go-envconfig"
)

// Exit codes. Scripts depend on them: they may be added to, never renumbered.
const (
	exitOK     = 0 // done
	exitFailed = 1 // the work could not be done
	exitUsage  = 2 // wrong flags or configuration
	exitNotMet = 3 // done, and something is not met
)

// usageError is a mistake in flags or configuration: exit code 2.
type usageError struct{ error }

// Unwrap returns the mistake.
func (e usageError) Unwrap() error { return e.error }

func usage(err error) error { return usageError{err} }

// errNotMet ends a command that did its work and found something not met.
var errNotMet = errors.New("something is not met")

// commands is the whole command line; kong reads the tags.
type commands struct {
	Demo       demoCmd       `cmd:"" help:"See the whole job on made-up partners, in memory."`
	Run        runCmd        `cmd:"" help:"Keep the PRM and the metrics current until told to end."`
	Once       onceCmd       `cmd:"" help:"Do one cycle and end."`
	Check      checkCmd      `cmd:"" help:"Judge one partner and say why."`
	Status     statusCmd     `cmd:"" help:"Show how all partners and the daemon stand."`
	Plan       planCmd       `cmd:"" help:"Show what would be written to the PRM, without writing."`
	Doctor     doctorCmd     `cmd:"" help:"Examine partners' sites: reach, rights, mapping, cost."`
	Rules      rulesCmd      `cmd:"" help:"Look at the criteria; test and compare packs."`
	Provision  provisionCmd  `cmd:"" help:"Make or update the PRM's doctypes, permissions and desk."`
	Audit      auditCmd      `cmd:"" help:"Look at audits: who, when, what is missing, how the sample was drawn."`
	Escalation escalationCmd `cmd:"" help:"Look at escalations: where they stand and what follows."`
	Outbox     outboxCmd     `cmd:"" help:"Look at changes that wait for the PRM; retry or drop them."`
	Backup     backupCmd     `cmd:"" help:"Copy the state store while it is in use."`
	Restore    restoreCmd    `cmd:"" help:"Put a backup in the state store's place."`
	Health     healthCmd     `cmd:"" help:"Ask a running prmsync whether it is well; for containers."`
	Version    versionCmd    `cmd:"" help:"Print which prmsync this is."`
}

// process is what a subcommand may use of the world around it.
type process struct {
	ctx    context.Context
	env    envconfig.Lookuper
	stdout io.Writer // results only
	stderr io.Writer // logs, progress and complaints
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], envconfig.OsLookuper(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its globals, so that a test can run it twice at
// once. The result is an exit code.
func run(ctx context.Context, args []string, env envconfig.Lookuper, stdout, stderr io.Writer) int {
	// kong ends the process after printing help; here it only says so.
	type exited int
	asked, code := false, exitOK
	parser, err := kong.New(&commands{},
		kong.Name("prmsync"),
		kong.Description("Polls partners' Frappe sites, judges them against the Process Maturity Model, keeps the PRM current."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { asked, code = true, c; panic(exited(c)) }),
	)
	if err != nil {
		fmt.Fprintln(stderr, "prmsync:", err)
		return exitFailed
	}
	var kctx *kong.Context
	func() {
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(exited); !ok {
					panic(r)
				}
			}
		}()
		kctx, err = parser.Parse(args)
	}()
	if asked {
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "prmsync: %v\nTry: prmsync --help\n", err)
		return exitUsage
	}
	err = kctx.Run(process{ctx: ctx, env: env, stdout: stdout, stderr: stderr})
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNotMet):
		return exitNotMet
	}
	fmt.Fprintln(stderr, "prmsync:", err)
	if _, wrong := errors.AsType[usageError](err); wrong {
		return exitUsage
	}
	return exitFailed
}
