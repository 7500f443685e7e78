package cli

// For the tests that look at the command tree and the build information.
var (
	NewRoot   = newRoot
	VersionOf = versionOf
	Release   = release
)
