// The order of Go module versions by golang.org/x/mod/semver, and of toolchains (`go1.22rc1`) by go/version.
// Reads lines `a<TAB>b`; writes one line for each: `<`, `=`, `>`, or `!` where a version does not parse.
package main

import (
	"bufio"
	"fmt"
	"go/version"
	"os"
	"strings"

	"golang.org/x/mod/semver"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		a, b, _ := strings.Cut(in.Text(), "\t")
		fmt.Fprintln(out, sign(a, b))
	}
}

func sign(a, b string) string {
	isValid, compare := semver.IsValid, semver.Compare
	if strings.HasPrefix(a, "go") {
		isValid, compare = version.IsValid, version.Compare
	}
	if !isValid(a) || !isValid(b) {
		return "!"
	}
	return string("<=>"[compare(a, b)+1])
}
