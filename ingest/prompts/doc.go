// Package prompts is where prompts come from: the seeded ioi generator with ducklens's own templates, a
// template file of the user's, sampled exactly as CPython's random module draws, so that a published prompt
// set can be made again word for word, and files of finished prompts ([File]). [ReadNames] reads a list of
// names for random draws.
//
// Every source is an iter.Seq2[schema.Prompt, error]: prompts in their order, or one error, after which it
// ends. A source may be ranged over more than once and gives the same prompts each time, so long as the file
// behind it does not change.
//
// # Files of prompts
//
// JSONL (.jsonl, .ndjson: a JSON object a line), CSV and TSV (.csv, .tsv: a header line, then a record a
// line) and Parquet (.parquet). Text files are UTF-8 or UTF-16, with or without a byte order mark; lines end
// with \n, \r\n or \r. A CSV file whose header has no commas may have semicolons or tabs in their place. A
// record has
//
//   - text, and the positions query and key, and if there is one, baseline; or
//   - text, IO and S: an IOI prompt. The key is IO and the baseline S. The query is the token before the
//     final IO where the text ends with it, else the last token; a query of its own is allowed;
//   - template (any name) and order (ABBA or BABA), if wanted.
//
// These eight names are reserved, in just these letters: upper and lower case differ, so that s beside S is a
// column like any other. All other columns are the author's own and are kept with the prompt
// ([schema.Prompt.Fields]), as JSON and in the order of the file: numbers as they are written, text as text,
// lists and objects as they are. They may have 1 MiB a record. A column without a name, such as the index
// that pandas writes, gets the name of its place: column 1. NaN, pandas' missing value, is null, and an infinite
// number is text, as JSON has neither. No two columns may have one name.
//
// # Positions
//
// A position is the index of a token or a word. Index 0 is the first stored token (BOS, where the run has
// one) and -1 the last; an index may be written 3.0, but 2.5 is an error. In JSONL and Parquet a number is an
// index and a string is a word. CSV has no types: what looks like a number is an index. A word is
//
//	Mary               the token Mary, with or without a space before it: for a query the last one, else the first
//	Mary#2             the second one, whatever the role
//	first of Łukasz    a word that may be several tokens: the first of them
//	last of Łukasz#2   the last token of the second Łukasz
//
// A word that itself ends in # and a number needs an occurrence of its own: C#2#1 is the first C#2. So does a
// number that is a word of a CSV file: 12#1 is the first token 12. Upper and lower case differ.
package prompts
