package ingest

import (
	"errors"

	"ducklens/schema/dbfile"
)

// Tables that a run appends to.
const (
	tablePrompt = iota
	tablePromptToken
	tableEdge
	tableScore
	tablePromptAttention
	tableLayerScale
	tableContribution
	tableQueryFactor
	tableKeyFactor
	tableQueryAxis
	tableKeyAxis
	tableQueryCoordinate
	tableKeyCoordinate
	tablePair
	tablePairMean
	tableSubstitution
	tableProjection
	tableCosine
	tableNearest
	tableLogit
	tableLogitEffect
	tableMeasure
	tableSource
	tableRotary
	tableNorm
	tableGram
	tableQKNorm
	tableQKGram
	tableRow
	tableMoment
	tableCount
)

var tableNames = [tableCount]string{"prompt", "prompt_token", "edge", "score", "prompt_attention",
	"layer_scale", "contribution_wide", "query_factor", "key_factor", "query_axis", "key_axis",
	"query_coordinate", "key_coordinate", "pair_contribution_wide", "pair_mean_wide",
	"substitution", "projection", "vector_cosine", "nearest_token", "logit", "logit_effect", "head_measure",
	"source_contribution", "rotary_contribution", "component_norm", "component_gram", "component_qk_norm",
	"component_qk_gram", "row_contribution_wide", "contribution_moment"}

// appenders adds rows to the tables of a run in one transaction.
type appenders struct {
	w    *writer
	open [tableCount]*dbfile.Appender // nil until the table has a row
}

// table returns the appender of a table, for rows that are put value by value. Integers must have the types
// of their columns.
func (a *appenders) table(table int) (*dbfile.Appender, error) {
	if a.open[table] == nil {
		var err error
		if a.open[table], err = a.w.db.Appender(a.w.conn, tableNames[table]); err != nil {
			return nil, err
		}
	}
	return a.open[table], nil
}

// row adds a row to a table. Integers must have the types of their columns.
func (a *appenders) row(table int, values ...dbfile.Value) error {
	to, err := a.table(table)
	if err != nil {
		return err
	}
	return to.AppendRow(values...)
}

// close flushes the appenders and returns the number of rows of each table.
func (a *appenders) close() (n [tableCount]int64, err error) {
	for i, table := range a.open {
		if table != nil {
			n[i] = table.Rows()
			err = errors.Join(err, table.Close())
		}
	}
	return n, err
}
