// Command prmsync parses flags, wires the rooms together and turns outcomes into exit codes; one file per subcommand.
// It is the only place that knows every room: reading, judging, storing and writing all happen elsewhere.
package main

import (
	"context"
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
)

// commands is the whole command line; kong reads the tags.
type commands struct {
	Version versionCmd `cmd:"" help:"Print which prmsync this is."`
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
	if err := kctx.Run(process{ctx: ctx, env: env, stdout: stdout, stderr: stderr}); err != nil {
		fmt.Fprintln(stderr, "prmsync:", err)
		return exitFailed
	}
	return exitOK
}
