package main

import (
	"fmt"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/connector/prm/schema"
)

type provisionCmd struct {
	Apply  provisionApplyCmd  `cmd:"" default:"withargs" help:"Show what is missing or differs on the PRM, then make it."`
	Verify provisionVerifyCmd `cmd:"" help:"Compare the live schema and permissions with what prmsync needs."`
}

type provisionApplyCmd struct {
	DryRun bool `help:"Show the plan and end." name:"dry-run"`
	Yes    bool `help:"Do not ask." short:"y"`
	JSON   bool `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (provisionApplyCmd) Help() string {
	return `Needs PRMSYNC_PRM_URL and the provisioning user's key in
PRMSYNC_PROVISION_API_KEY and PRMSYNC_PROVISION_API_SECRET: a System Manager who
is also Workspace Manager and, for the customers' web form, Website Manager.

Only adds and changes; what people added or edited stays, and is named. A desk
item that another user than this one saved last counts as edited: keep to one
user for provisioning. May be run again at any time, also after an interruption.`
}

// Run provisions the PRM.
func (c provisionApplyCmd) Run(p process) error {
	cfg, err := config.Load(p.ctx, p.env, config.Needs{Provisioning: true})
	if err != nil {
		return usage(err)
	}
	client, err := prmClient(cfg.PRM, cfg.PRM.ProvisionAPIKey, cfg.PRM.ProvisionAPISecret, p.logger(cfg.Settings))
	if err != nil {
		return err
	}
	defer client.Close()
	o := schema.Options{Deployment: string(cfg.PRM.Deployment), DryRun: true}
	plan, err := schema.Provision(p.ctx, client, o)
	if err != nil {
		return err
	}
	todo := plan.Count(schema.Create) + plan.Count(schema.Change)
	if c.DryRun || todo == 0 {
		return c.print(p, plan, "")
	}
	if !c.JSON {
		if err := c.print(p, plan, ""); err != nil {
			return err
		}
	}
	if !c.Yes {
		if !terminal(p.stderr) {
			return usage(fmt.Errorf("%d documents would be made or changed; say --yes to do it, or --dry-run to look only", todo))
		}
		fmt.Fprintf(p.stderr, "\nMake or change %d documents on %s? [y/N] ", todo, cfg.PRM.URL)
		var answer string
		if _, err := fmt.Scanln(&answer); err != nil || (answer != "y" && answer != "yes") {
			fmt.Fprintln(p.stderr, "nothing was changed")
			return nil
		}
	}
	o.DryRun = false
	bars := newBars(p)
	o.Progress = func(done, total int, item schema.Item) { bars.step("provision", done, total) }
	res, err := schema.Provision(p.ctx, client, o)
	bars.close()
	if err != nil {
		return fmt.Errorf("%w; what was made stays: run it again to go on", err)
	}
	if err := c.print(p, res, "done: "); err != nil {
		return err
	}
	if n := res.Count(schema.Cannot); n > 0 {
		return fmt.Errorf("%d steps were refused; see above", n)
	}
	return nil
}

func (c provisionApplyCmd) print(p process, r schema.Result, prefix string) error {
	if c.JSON {
		return writeJSON(p.stdout, r)
	}
	for _, i := range r.Items {
		if i.Verb != schema.Unchanged {
			fmt.Fprintln(p.stdout, i)
		}
	}
	format := "%d to create, %d to change, %d unchanged, %d left to people, %d skipped, %d refused\n"
	if prefix != "" {
		format = prefix + "%d created, %d changed, %d unchanged, %d left to people, %d skipped, %d refused\n"
	}
	_, err := fmt.Fprintf(p.stdout, format,
		r.Count(schema.Create), r.Count(schema.Change), r.Count(schema.Unchanged), r.Count(schema.Left), r.Count(schema.Skipped), r.Count(schema.Cannot))
	return err
}

type provisionVerifyCmd struct {
	JSON bool `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (provisionVerifyCmd) Help() string {
	return `Looks with the runtime user's key (PRMSYNC_PRM_API_KEY and _API_SECRET), since it
is that user who writes later, and changes nothing. Doctypes that the file maps in
prm.intake are compared too. Exit code 3 says that something is missing; a right too many is a warning alone.`
}

// Run compares the PRM with what is needed, as the runtime user sees it.
func (c provisionVerifyCmd) Run(p process) error {
	cfg, err := config.Load(p.ctx, p.env, config.Needs{PRM: true})
	if err != nil {
		return usage(err)
	}
	client, err := prmClient(cfg.PRM, cfg.PRM.APIKey, cfg.PRM.APISecret, p.logger(cfg.Settings))
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := schema.Verify(p.ctx, client, string(cfg.PRM.Deployment))
	if err != nil {
		return err
	}
	unfit, err := prm.VerifyIntake(p.ctx, client, cfg.PRM.Intake)
	if err != nil {
		return err
	}
	found = append(found, unfit...)
	missing := 0
	for _, f := range found {
		if !f.Warning {
			missing++
		}
	}
	if c.JSON {
		if err := writeJSON(p.stdout, struct {
			Findings []schema.Finding `json:"findings"`
		}{append([]schema.Finding{}, found...)}); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			fmt.Fprintln(p.stdout, f)
		}
		fmt.Fprintf(p.stdout, "%d missing, %d warnings\n", missing, len(found)-missing)
	}
	if missing > 0 {
		return errNotMet
	}
	return nil
}
