package confine

import (
	"strings"
	"testing"
)

func TestSupport(t *testing.T) {
	t.Parallel()
	for version, want := range map[int][2]string{
		-1: {"no Landlock", "TCP"}, 0: {"no Landlock", "TCP"}, 1: {"only read", "nothing"},
		3: {"other files; Linux 6.7", "and TCP"}, 4: {"and TCP, not to UDP", "6.7"}, 7: {"and TCP, not to UDP", "6.7"},
		10: {"and the network", "not"}, 99: {"and the network", "not"},
	} {
		if got := support(version); !strings.Contains(got, want[0]) || strings.Contains(got, want[1]) || strings.Contains(got, "\n") {
			t.Errorf("version %d: %q, want %q and not %q", version, got, want[0], want[1])
		}
	}
}
