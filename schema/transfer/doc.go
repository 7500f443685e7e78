// Package transfer moves runs between files: [Merge] unites files, [Diff] compares two runs, [Export] and [Import] go to Parquet
// and back, and [Migrate] brings a file of an older schema version to the present one.
package transfer
