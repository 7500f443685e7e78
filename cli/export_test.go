package cli

import "github.com/spf13/cobra"

// NewRoot is the command tree.
func NewRoot() *cobra.Command { return newRoot(invocation{program: "ducklens"}) }

// For the tests that look at the build information.
var (
	VersionOf = versionOf
	Release   = release
)
