//go:build !unix

package cli

// A browser is not supported on this system.
type browser struct{}

// newBrowser returns nil.
func newBrowser() *browser { return nil }

func (*browser) open(string) {}
