// Package prompts provides sources of prompts: a seeded generator of ioi prompts with ducklens's own
// templates or a user's template file, and files of finished prompts ([File]). The generator draws exactly
// like CPython's random module, so it reproduces published prompt sets word for word. [ReadNames] reads a
// list of names for random draws.
//
// Every source is an iter.Seq2[schema.Prompt, error]. It yields prompts in order, or one error, after which
// it ends. A source may be ranged over more than once, and yields the same prompts each time unless the file
// changes.
//
// # Files of prompts
//
// The formats are JSONL (.jsonl, .ndjson: one JSON object a line), CSV and TSV (.csv, .tsv: a header line,
// then one record a line) and Parquet (.parquet). Text files are UTF-8 or UTF-16, with or without a byte
// order mark. Lines end with \n, \r\n or \r. A CSV file whose header has no commas may use semicolons or tabs
// instead. A record has
//
//   - text, the positions query and key, and optionally baseline; or
//   - text, IO and S: an IOI prompt. The key is IO and the baseline is S. The query is the token before the
//     final IO if the text ends with it, else the last token; the column query overrides this;
//   - optionally template (any name) and order (ABBA or BABA).
//
// These eight names are reserved. Case matters, so a column s beside S is an ordinary column. But a record
// that lacks a text or a position is refused if it has a column whose name differs from the missing one by a
// letter or by case. All other columns are kept with the prompt ([schema.Prompt.Fields]) as JSON, in the
// order of the file: numbers as they are written, text as text, lists and objects as they are. They may take
// 1 MiB a record. A column without a name, such as the index that pandas writes, is named by its place:
// column 1. NaN, which pandas writes for a missing value, becomes null. Infinite numbers become text, because
// JSON has none. No two columns may have the same name.
//
// # Positions
//
// A position is the index of a token, or a word. Index 0 is the first stored token (BOS, if the run has one)
// and -1 the last. An index may be written 3.0, but 2.5 is an error. In JSONL and Parquet a number is an
// index and a string is a word. CSV has no types, so everything that looks like a number is an index. A word
// is
//
//	Mary               the token Mary, with or without a space before it: the last one for a query, else the first
//	Mary#2             the second one, for any position
//	first of Łukasz    the first token of a word of several tokens
//	last of Łukasz#2   the last token of the second Łukasz
//
// Occurrences are counted in the text: if the one that is meant is several tokens, Mary and Mary#2 are
// errors, and no other occurrence is taken in its place.
//
// A word that itself ends in # and a number needs an explicit occurrence: C#2#1 is the first C#2. So does a
// word of a CSV file that is a number: 12#1 is the first token 12. Case matters.
package prompts
