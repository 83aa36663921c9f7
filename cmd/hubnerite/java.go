package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hubnerite/hubnerite/emulator/trust"
)

// javaVariable is read by every Java virtual machine when it starts.
const javaVariable = "JAVA_TOOL_OPTIONS"

// javaStoreOption begins the options that name a trust store, its password and its type.
const javaStoreOption = "-Djavax.net.ssl.trustStore"

// javaOptions returns the options with which Java trusts what the bundle's
// programs trust, after those that are there. It is false when this machine has
// no bundle, as with an emulator elsewhere that has a certificate of its operator's.
func javaOptions(bundle, there string) (options variable, ok bool, err error) {
	store, err := javaStore(bundle)
	if os.IsNotExist(err) {
		return variable{}, false, nil
	}
	if err != nil {
		return variable{}, false, err
	}
	return variable{javaVariable, joinJavaOptions(there, store)}, true, nil
}

// javaStore makes the trust store beside the bundle, or in the user's cache when
// it may not write there, unless there is one that is not older.
func javaStore(bundle string) (string, error) {
	text, err := os.ReadFile(bundle)
	if err != nil {
		return "", err
	}
	made, err := os.Stat(bundle)
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(bundle), trust.JavaStoreFile)
	if store, err := os.Stat(path); err == nil && !store.ModTime().Before(made.ModTime()) {
		return path, nil
	}
	store, err := trust.JavaStore(text)
	if err != nil {
		return "", err
	}
	if err := trust.WriteFile(path, store, 0o644); err == nil {
		return path, nil
	}
	dir, err := cacheFolder(text)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, trust.JavaStoreFile)
	return path, trust.WriteFile(path, store, 0o644)
}

// joinJavaOptions appends the trust store to options, without another one that they name.
func joinJavaOptions(there, store string) string {
	var options []string
	// The virtual machine separates at spaces that are not in quotes.
	for _, option := range regexp.MustCompile(`(?:"[^"]*"|'[^']*'|[^\s"'])+`).FindAllString(there, -1) {
		if !strings.HasPrefix(strings.Trim(option, `"'`), javaStoreOption) {
			options = append(options, option)
		}
	}
	quote := ""
	if strings.ContainsAny(store, " \t'") {
		quote = `"`
	}
	if strings.Contains(store, `"`) {
		quote = `'`
	}
	options = append(options, quote+javaStoreOption+"="+store+quote, javaStoreOption+"Password="+trust.JavaPassword)
	return strings.Join(options, " ")
}
