package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/prmsync/prmsync/rules"
)

var markdownSigns = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`, "<", "&lt;", ">", "&gt;", "|", `\|`, "#", `\#`, "~", `\~`, "!", `\!`, "&", "&amp;",
)

// md makes foreign text plain text in Markdown.
func md(s string) string { return markdownSigns.Replace(plain(s)) }

// link makes a link where the address is one that a browser may open.
func link(text, url string) string {
	if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") || strings.ContainsAny(url, " <>()\"\n") {
		return md(text)
	}
	return "[" + md(text) + "](" + url + ")"
}

// CheckMarkdown writes the reasoning of one assessment as Markdown: the same in
// the same order as CheckText, with links, and every verdict in a table.
func CheckMarkdown(w io.Writer, rep rules.Report) error {
	c := sorted(rep)
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# %s as of %s\n\n%s. Judged by %s %s.\n", md(rep.Partner), instant(rep.AsOf), c.headline(), md(rep.Pack.Name), md(rep.Pack.Version))
	if len(c.notMet) > 0 {
		fmt.Fprintf(b, "\n## Not met\n")
		for _, v := range c.notMet {
			fmt.Fprintf(b, "\n### %s: %s\n\n- measured: %s\n- expected: %s\n", md(v.Criterion), md(v.Title), md(v.Measured), md(v.Expected))
			if v.Remedy != "" {
				fmt.Fprintf(b, "- to do: %s\n", md(v.Remedy))
			}
			if v.Override != nil {
				fmt.Fprintf(b, "- judged by %s: %s\n", md(v.Override.By), md(v.Override.Reason))
			}
			for _, it := range v.Items {
				if !it.OK && !it.Unknown && !it.Manual {
					fmt.Fprintf(b, "  - %s\n", link(itemText(it), it.Ref.URL))
				}
			}
			if v.MoreItems > 0 {
				fmt.Fprintf(b, "  - and %d more items\n", v.MoreItems)
			}
		}
	}
	if len(c.causes) > 0 {
		fmt.Fprintf(b, "\n## Not known\n\n")
		for _, k := range c.causes {
			fmt.Fprintf(b, "- %s. To do: %s. Leaves open: %s\n", md(strings.TrimRight(k.Says, ".")), md(strings.TrimRight(k.Remedy, ".")), md(strings.Join(k.Criteria, ", ")))
		}
	}
	if len(c.people) > 0 {
		fmt.Fprintf(b, "\n## For a person to judge\n\n")
		for _, v := range c.people {
			fmt.Fprintf(b, "- %s: %s\n", md(v.Criterion), md(strings.TrimPrefix(v.Explanation, "A person has to judge this: ")))
		}
	}
	if len(c.missing) > 0 {
		fmt.Fprintf(b, "\n## Missing for level %d\n\n| department | criterion | stands at | to do |\n|---|---|---|---|\n", c.next)
		for _, m := range c.missing {
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", md(string(m.Department)), md(m.Criterion), m.Outcome, md(m.Remedy))
		}
	}
	if len(c.advice) > 0 {
		fmt.Fprintf(b, "\n## Observations, without effect on the level\n\n")
		for _, v := range c.advice {
			fmt.Fprintf(b, "- %s: %s\n", md(v.Criterion), md(strings.TrimSpace(v.Observation+" "+v.Flag)))
		}
	}
	fmt.Fprintf(b, "\n## All verdicts\n\n| level | criterion | department | outcome | measured | expected |\n|---|---|---|---|---|---|\n")
	for _, v := range rep.Verdicts {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", levelText(v.Level), md(v.Criterion), md(string(v.Department)), effective(v), md(v.Measured), md(v.Expected))
	}
	return b.Flush()
}
