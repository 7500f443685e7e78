// Package transfer moves runs between files. [Merge] merges files, [Diff] compares two runs, [Export] and
// [Import] convert to and from Parquet, and [Migrate] converts a file of an older schema version to the
// current one.
package transfer
