package cli

import (
	"context"

	"github.com/spf13/cobra"

	"ducklens/queries/session"
)

// NewRoot is the command tree.
func NewRoot() *cobra.Command { return newRoot(invocation{program: "ducklens"}) }

// For the tests that look at the build information.
var (
	VersionOf = versionOf
	Release   = release
)

// Wedge behaves as a command does that asks a query which never stops. It calls ready when the process is
// guarded.
func Wedge(ctx context.Context, stuck bool, ready func()) {
	p := ownProcess(ctx)
	p.guard(ctx, session.DefaultMemory, 0)
	if stuck {
		go p.stuck()(make(chan struct{}))
	}
	ready()
	select {}
}

// ComparePNG says how two pictures differ.
func ComparePNG(before, after []byte) (string, error) {
	change, err := comparePNG(before, after)
	if change == nil {
		return "", err
	}
	return change.String(), err
}

// UntilFirstBatch is what an interrupted ingest says that has not reported its first batch.
func UntilFirstBatch(file string, adds bool) string { return untilFirstBatch(file, adds) }
