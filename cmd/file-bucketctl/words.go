package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// bytesText is a size for people.
func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// count is a number for people.
func count(n int64) string { return humanize.Comma(n) }

// things is a number of things, which have an "s" when there are several.
func things(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return count(n) + " " + thing
}

// times is a ratio for people; there is none of nothing.
func times(whole, part int64) string {
	if part <= 0 || whole <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f×", float64(whole)/float64(part))
}

// percent is a flag from 0% to 100%; it holds the fraction.
type percent float64

// Set implements flag.Value.
func (p *percent) Set(text string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(n >= 0 && n <= 100) {
		return errors.New(`must be a percentage like "50%"`)
	}
	*p = percent(n / 100)
	return nil
}

func (p *percent) String() string { return strconv.FormatFloat(float64(*p)*100, 'f', -1, 64) + "%" }
