package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLicences(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"LICENSE", "Permission is hereby granted, free of charge, to any person\nobtaining a copy of this software and associated documentation\nfiles", "MIT"},
		{"COPYING", "# Redistribution and use in source and binary forms, with or without\n modification, are permitted provided\n* Neither the name of", "BSD-3-Clause"},
		{"License", "/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */\nGNU GENERAL PUBLIC LICENSE", "BSD-3-Clause"},
		{"LICENSE.txt", "GNU GENERAL PUBLIC LICENSE\nVersion 3", "is no licence"},
		{"LICENCE", "all rights reserved", "is no licence"},
		{"README", "MIT", "no file"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		names, err := licences(dir)
		got := strings.Join(names, ", ")
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s with %q: %s, want %s", c.file, c.text, got, c.want)
		}
	}
}
