package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestReportOwnFaults checks that an internal error of DuckDB, which has many lines and names of functions,
// becomes one line.
func TestReportOwnFaults(t *testing.T) {
	t.Parallel()
	const trace = "\n\nStack Trace:\n\n0        _ZN6duckdb9ExceptionC1ENS_13ExceptionTypeERKNSt7__cxx1112basic_string + 52\n1        duckdb::InternalException + 17\n\nThis error signals an assertion failure within DuckDB."
	for text, want := range map[string]string{
		"INTERNAL Error: Attempted to access index 1 within vector of size 0" + trace:                                          "INTERNAL Error: Attempted to access index 1 within vector of size 0",
		"INTERNAL Error: Unexpected \x1b[2J type" + trace:                                                                      `INTERNAL Error: Unexpected \x1b[2J type`,
		"FATAL Error: Failed: database has been invalidated because of a previous fatal error" + trace:                         "FATAL Error: Failed: database has been invalidated because of a previous fatal error",
		"Invalid Error: INTERNAL Error: Failed to load metadata pointer (id 7, idx 3, ptr 216172782113783815)" + trace + trace: "Invalid Error: INTERNAL Error: Failed to load metadata pointer (id 7, idx 3, ptr 216172782113783815)",
	} {
		var out strings.Builder
		report(&out, fmt.Errorf("open x.duckdb: %w", errors.New(text)))
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if lines[0] != "ducklens: open x.duckdb: "+want {
			t.Errorf("%.60q is told as %q, want %q", text, lines[0], want)
		}
		if len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[1], "hint: ") || strings.Contains(out.String(), "_ZN") {
			t.Errorf("%.60q is told in %d lines: %q", text, len(lines), lines)
		}
	}
}
