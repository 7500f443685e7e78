//go:build !unix

package cli

// ignoreFileSize does nothing, because only Unix signals a limit on file sizes.
func ignoreFileSize() {}
