package figure

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ducklens/queries"
)

// Check returns an error for a query's header that New would refuse whatever the rows are: columns that an
// answer lacks, columns of text where numbers are drawn, and unknown names in braces. columns are those of
// the query's answer.
func Check(q queries.Query, columns []queries.Column) error {
	r := &queries.Result{Columns: columns}
	t := &table{query: q.Name, chart: q.Chart, columns: columns, result: r}
	var faults []error
	for _, key := range q.Chart.Columns() {
		if err := t.require(key.Key, key.Column, key.Needed); err != nil {
			faults = append(faults, err)
			continue
		}
		if i := r.Index(key.Column); i >= 0 && q.Chart.Numbers(key.Key) && !columns[i].Type.Numeric() {
			faults = append(faults, t.fail(ErrColumn, fmt.Sprintf("column %s for %s holds %s, want numbers",
				key.Column, key.Key, columns[i].Type), nil, ""))
		}
	}
	for _, name := range q.Placeholders() {
		if r.Index(name) < 0 && !slices.Contains(q.Known(), name) {
			faults = append(faults, t.fail(ErrTitle,
				fmt.Sprintf("{%s}: no such column, parameter or fact of a run, want one of %s", name,
					strings.Join(append(r.Names(), q.Known()...), ", ")), nil, ""))
		}
	}
	return errors.Join(faults...)
}
