package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// newCompletion builds `ducklens completion`, in place of cobra's own command of that name: this one
// refuses an unknown shell and has examples.
func newCompletion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a completion script for a shell",
		Long: `Prints the completion script of bash, zsh, fish or powershell to standard output. It completes
commands, flags, and the names of saved queries.`,
		Example: `  ducklens completion bash > ducklens.bash
  ducklens completion zsh > _ducklens`,
		GroupID:   groupOther,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := exactly("SHELL")(cmd, args); err != nil {
				return err
			}
			if !slices.Contains(shells, args[0]) {
				return usagef("shell %q, want one of %s", args[0], strings.Join(shells, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return fmt.Errorf("completion: shell %q", args[0])
		},
	}
}
