package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpColumns is the column at which descriptions of flags wrap.
const helpColumns = 110

// A flagGroup is a set of flags that the help of a command shows under a title.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// newFlagGroup returns an empty group. It keeps the order in which flags are added.
func newFlagGroup(title string) flagGroup {
	flags := pflag.NewFlagSet(title, pflag.ContinueOnError)
	flags.SortFlags = false
	return flagGroup{title: title, flags: flags}
}

// group adds groups of flags to a command, and a help text that shows them group by group.
func group(cmd *cobra.Command, groups ...flagGroup) {
	cmd.Flags().SortFlags = false
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.flags)
	}
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		out := cmd.OutOrStderr()
		fmt.Fprintf(out, "Usage:\n  %s\n", cmd.UseLine())
		if cmd.HasExample() {
			fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
		}
		rest := newFlagGroup("Other")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			for _, g := range groups {
				if g.flags.Lookup(f.Name) != nil {
					return
				}
			}
			rest.flags.AddFlag(f)
		})
		for _, g := range append(groups, rest) {
			if _, err := fmt.Fprintf(out, "\n%s:\n%s", g.title,
				g.flags.FlagUsagesWrapped(helpColumns)); err != nil {
				return err
			}
		}
		return nil
	})
}
