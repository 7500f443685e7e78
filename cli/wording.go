package cli

import (
	"fmt"
	"strings"
	"time"

	"ducklens/schema"
)

// isAre returns one or two words with the verb is or are.
func isAre(list []string) string {
	if len(list) == 1 {
		return list[0] + " is"
	}
	return strings.Join(list, " and ") + " are"
}

// promptsAndEdges counts the prompts of a run, and its edges if there is not one for each prompt.
func promptsAndEdges(prompts, edges int) string {
	if prompts == edges {
		return plural(prompts, "prompt")
	}
	return plural(prompts, "prompt") + ", " + plural(edges, "edge")
}

// plural formats a number with a noun.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// headList names up to four heads, or counts them.
func headList(heads []schema.Head) string {
	if len(heads) > 4 {
		return plural(len(heads), "head")
	}
	names := make([]string, len(heads))
	for i, h := range heads {
		names[i] = h.String()
	}
	if len(names) == 1 {
		return "head " + names[0]
	}
	return "heads " + strings.Join(names, ", ")
}

// round shortens a duration for printing.
func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}
