package docpage_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/internal/docpage"
)

func TestParse(t *testing.T) {
	page, err := docpage.Parse(strings.ReplaceAll(`# Title <!-- needs: python, curl -->

Start it:

<!-- keeps running: Ready -->
~~~sh
hubnerite
~~~

~~~text
Ready
~~~

1. In a second terminal:

   <!-- terminal: 2 -->
   ~~~sh
   echo a
     echo b
   ~~~

The first one prints

<!-- terminal: 1 -->
~~~text
...
~~~

<!-- file: a/b.py -->
~~~python
print(1)
~~~

<!-- append: a/b.py -->
~~~python
print(2)
~~~

<!-- fails -->
~~~sh
false
~~~

Stop it with Ctrl-C. <!-- ctrl-c -->

<!-- not run: because -->
~~~sh
sudo true
~~~
~~~text
done
~~~
`, "~~~", "```"))
	if err != nil {
		t.Fatal(err)
	}
	want := []docpage.Step{
		{Kind: docpage.Run, Line: 6, Language: "sh", Text: "hubnerite\n", Terminal: "1", Running: "Ready"},
		{Kind: docpage.Output, Line: 10, Language: "text", Text: "Ready\n", Terminal: "1"},
		{Kind: docpage.Run, Line: 17, Language: "sh", Text: "echo a\n  echo b\n", Terminal: "2"},
		{Kind: docpage.Output, Line: 25, Language: "text", Text: "...\n", Terminal: "1"},
		{Kind: docpage.File, Line: 30, Language: "python", Text: "print(1)\n", Terminal: "1", Name: "a/b.py"},
		{Kind: docpage.File, Line: 35, Language: "python", Text: "print(2)\n", Terminal: "1", Name: "a/b.py", Append: true},
		{Kind: docpage.Run, Line: 40, Language: "sh", Text: "false\n", Terminal: "1", Fails: true},
		{Kind: docpage.Interrupt, Line: 44, Terminal: "1"},
		{Kind: docpage.NotRun, Line: 47, Language: "sh", Text: "sudo true\n", Terminal: "1", Reason: "because"},
		{Kind: docpage.NotRun, Line: 50, Language: "text", Text: "done\n", Terminal: "1", Reason: "output of what is not run"},
	}
	if diff := cmp.Diff(want, page.Steps); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"python", "curl"}, page.Needs); diff != "" {
		t.Error(diff)
	}
	if !page.Commands() || strings.Contains(page.Prose, "echo") || strings.Contains(page.Prose, "needs") || !strings.Contains(page.Prose, "Start it:") {
		t.Errorf("commands %v, prose:\n%s", page.Commands(), page.Prose)
	}
}

func TestParseMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"~~~\nls\n~~~\n":                                  "line 1: a fence without a language",
		"a\n~~~sh\nls\n":                                  "line 2: the fence has no end",
		"~~~sh title=x\nls\n~~~\n":                        "more than a language",
		"~~~text\nx\n~~~\n":                               "not directly after its commands",
		"~~~sh\nls\n~~~\nprints\n~~~text\nx\n~~~\n":       "line 5: a text block",
		"~~~python\nx\n~~~\n":                             "file: NAME",
		"<!-- file: ../x -->\n~~~python\nx\n~~~\n":        "relative name",
		"<!-- file: x -->\ntext\n~~~python\nx\n~~~\n":     "line 2: text between",
		"<!-- file: x -->\n~~~sh\nx\n~~~\n":               `"file" is not for a block of sh`,
		"<!-- trminal: 2 -->\n~~~sh\nx\n~~~\n":            "line 1: unknown comment",
		"<!-- terminal -->\n~~~sh\nx\n~~~\n":              "a value is missing",
		"<!-- fails: 3 -->\n~~~sh\nx\n~~~\n":              "or too much",
		"<!-- fails -->\n<!-- fails -->\n~~~sh\nx\n~~~":   `a second "fails"`,
		"~~~sh\nx\n~~~\n<!-- terminal: 2 -->\n":           "about no block",
		"<!-- terminal: 2\n-->\n~~~sh\nx\n~~~\n":          "must end on its line",
		"<!-- not run: y -->\n<!-- x -->\n~~~sh\n~~~\n":   "unknown comment",
		"<!-- keeps running -->\n~~~sh\nhubnerite\n~~~\n": "a value is missing",
	} {
		_, err := docpage.Parse(strings.ReplaceAll(text, "~~~", "```"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		want, got string
		whole     bool
		end       int
	}{
		{"a\nb\n", "a|b", true, 2},
		{"a\nb\n", "a|b |c", true, -1},
		{"a\nb\n...\n", "a|b |c|d", true, 4},
		{"...\nc", "a|b|c", true, 3},
		{"a\n...\nc", "a|c", true, 2},
		{"a ... c.\n", "a b b c.", true, 1},
		{"a ... c.\n", "a b b cd", true, -1},
		{"a.c\n", "abc", true, -1},
		{"b\n", "a|b|c", false, 2},
		{"b\n...\nd", "a|b|c|d|e|d", false, 4},
		{"b\nd", "a|b|c|d", false, -1},
		{"a", "", false, -1},
		{"...", "", true, 0},
	} {
		var got []string
		if tc.got != "" {
			got = strings.Split(tc.got, "|")
		}
		if end := docpage.Match(tc.want, got, tc.whole); end != tc.end {
			t.Errorf("Match(%q, %q, %v) = %d, want %d", tc.want, tc.got, tc.whole, end, tc.end)
		}
	}
}
