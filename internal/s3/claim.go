package s3

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxExpires is how many seconds a presigned request may be good for.
	maxExpires = 7 * 24 * 60 * 60
	// maxSignedNames is how many headers a signature may name.
	maxSignedNames = 512
)

// shape is where a request bears a signature.
type shape int

const (
	shapeNone shape = iota
	shapeHeader
	shapeQuery
)

// shape looks where the signature is. There may be one, of version 4.
func (q *request) shape() (shape, error) {
	auth, inHeader := q.r.Header["Authorization"]
	inQuery := slices.ContainsFunc(q.query, func(p param) bool {
		return p.name == "X-Amz-Algorithm" || p.name == "X-Amz-Credential" || p.name == "X-Amz-Signature"
	})
	inQueryV2 := q.query.has("AWSAccessKeyId") && q.query.has("Signature")
	switch {
	case inHeader && (inQuery || inQueryV2), inQuery && inQueryV2, len(auth) > 1:
		return 0, invalidArgument.says("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified").
			err("ArgumentName", "Authorization")
	case inQueryV2, inHeader && strings.HasPrefix(auth[0], "AWS "):
		return 0, invalidRequest.says("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.").err()
	case inQuery:
		return shapeQuery, nil
	case inHeader:
		return shapeHeader, nil
	}
	return shapeNone, nil
}

// claimFromHeader reads an Authorization header.
func (q *request) claimFromHeader(now time.Time) (*claim, error) {
	auth := q.r.Header.Get("Authorization")
	switch scheme, _, _ := strings.Cut(auth, " "); {
	case strings.HasPrefix(scheme, "AWS4-ECDSA-"):
		return nil, notImplemented.err("Header", "authorization")
	case scheme != algorithm:
		return nil, invalidArgument.says("Unsupported Authorization Type").err("ArgumentName", "Authorization")
	}
	c, err := parseAuthorization(auth)
	if err != nil {
		return nil, authHeaderMalformed.says("The authorization header is malformed; %v.", err).err()
	}
	var ok bool
	if c.time, ok = requestTime(q.r.Header); !ok {
		return nil, accessDenied.says("AWS authentication requires a valid Date or x-amz-date header").err()
	}
	if day := c.time.Format(isoDay); c.day != day {
		return nil, authHeaderMalformed.says("The authorization header is malformed; Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", c.day, day).err()
	}
	if d := now.Sub(c.time).Abs(); d > maxSkew {
		return nil, requestTimeTooSkewed.err("RequestTime", c.time.Format(isoBasic), "ServerTime", now.UTC().Format(time.RFC3339),
			"MaxAllowedSkewMilliseconds", strconv.FormatInt(maxSkew.Milliseconds(), 10))
	}
	switch c.payload = q.payloadName(); {
	case c.payload != "":
	case q.r.ContentLength == 0:
		// curl up to 7.88 signs the empty body without naming its digest. What is signed is the same, so nothing is lost.
		c.payload = emptySHA256
	default:
		return nil, invalidRequest.says("Missing required header for this request: x-amz-content-sha256").err()
	}
	return c, nil
}

// parseAuthorization reads the value of an Authorization header of Signature Version 4.
func parseAuthorization(auth string) (*claim, error) {
	rest, ok := strings.CutPrefix(auth, algorithm)
	if !ok {
		return nil, errors.New("the algorithm is not " + algorithm)
	}
	fields := make(map[string]string, 3)
	for field := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if _, again := fields[name]; !ok || again || len(fields) == 3 {
			return nil, errors.New("it must be made of Credential, SignedHeaders and Signature")
		}
		fields[name] = value
	}
	c := &claim{signature: fields["Signature"]}
	if err := c.parseCredential(fields["Credential"]); err != nil {
		return nil, err
	}
	if err := c.parseSigned(fields["SignedHeaders"]); err != nil {
		return nil, err
	}
	if len(c.signature) != signatureLen || len(fields) != 3 {
		return nil, errors.New("it must be made of Credential, SignedHeaders and Signature")
	}
	return c, nil
}

// parseCredential reads KEY/DAY/REGION/s3/aws4_request.
func (c *claim) parseCredential(s string) error {
	parts := strings.SplitN(s, "/", 6)
	if len(parts) != 5 || parts[0] == "" || parts[2] == "" {
		return errors.New("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"")
	}
	if _, err := time.Parse(isoDay, parts[1]); err != nil {
		return fmt.Errorf("incorrect date format %q. This date in the credential must be in the format \"yyyyMMdd\"", parts[1])
	}
	if parts[3] != serviceName {
		return fmt.Errorf("incorrect service %q. This endpoint belongs to \"s3\"", parts[3])
	}
	if parts[4] != terminator {
		return fmt.Errorf("incorrect terminal %q. This endpoint uses \"aws4_request\"", parts[4])
	}
	c.accessKey, c.day, c.region = parts[0], parts[1], parts[2]
	return nil
}

// parseSigned reads the list of signed headers: lower case, none twice, host among them.
func (c *claim) parseSigned(s string) error {
	if strings.Count(s, ";") >= maxSignedNames {
		return errors.New("SignedHeaders are too many")
	}
	c.signed = strings.Split(s, ";")
	seen := make(map[string]bool, len(c.signed))
	for _, name := range c.signed {
		if name == "" || name != strings.ToLower(name) || seen[name] {
			return errors.New("SignedHeaders must be lower-case names, none of them twice")
		}
		seen[name] = true
	}
	if !seen["host"] {
		return errors.New("the host header must be signed")
	}
	return nil
}

// requestTime is when a request was signed: x-amz-date before Date, each in either format.
func requestTime(h http.Header) (time.Time, bool) {
	s := h.Get("X-Amz-Date")
	if s == "" {
		s = h.Get("Date")
	}
	for _, format := range []string{isoBasic, http.TimeFormat, time.RFC1123Z, time.RFC1123} {
		if t, err := time.Parse(format, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// claimFromQuery reads the parameters of a presigned request.
func (q *request) claimFromQuery(now time.Time) (*claim, error) {
	var missing bool
	get := func(name string) (value string) {
		n := 0
		for _, p := range q.query {
			if p.name == name {
				value, n = p.value, n+1
			}
		}
		missing = missing || n != 1 || value == "" // one that is there twice could be read in two ways
		return value
	}
	alg, credential, signature := get("X-Amz-Algorithm"), get("X-Amz-Credential"), get("X-Amz-Signature")
	date, expires, signed := get("X-Amz-Date"), get("X-Amz-Expires"), get("X-Amz-SignedHeaders")
	if missing {
		return nil, authQueryError.err()
	}
	if strings.HasPrefix(alg, "AWS4-ECDSA-") {
		return nil, unknownParameter("X-Amz-Algorithm")
	}
	if alg != algorithm {
		return nil, authQueryError.says("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\"").err()
	}
	c := &claim{signature: signature, payload: unsigned}
	if err := errors.Join(c.parseCredential(credential), c.parseSigned(signed)); err != nil {
		return nil, authQueryError.says("Error parsing the X-Amz-Credential or X-Amz-SignedHeaders parameter; %v.", err).err()
	}
	if v := q.payloadName(); v != "" {
		c.payload = v
	}
	return c, c.checkExpiry(date, expires, now)
}

// payloadName is the value of x-amz-content-sha256, wherever it is.
func (q *request) payloadName() string {
	if v, ok := q.query.find("X-Amz-Content-Sha256"); ok {
		return v
	}
	return q.r.Header.Get("X-Amz-Content-Sha256")
}

// checkExpiry reads when a presigned request was made and how long it is good for, and compares with now.
func (c *claim) checkExpiry(date, expires string, now time.Time) error {
	var err error
	if c.time, err = time.Parse(isoBasic, date); err != nil {
		return authQueryError.says("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"").err()
	}
	if day := c.time.Format(isoDay); c.day != day {
		return authQueryError.says("Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", c.day, day).err()
	}
	seconds, err := strconv.ParseInt(expires, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return authQueryError.says("X-Amz-Expires should be a number").err()
	case seconds < 0:
		return authQueryError.says("X-Amz-Expires must be non-negative").err()
	case seconds == 0:
		return authQueryError.says("X-Amz-Expires must be at least 1").err()
	case seconds > maxExpires:
		return authQueryError.says("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than %d seconds", maxExpires).err()
	}
	end := c.time.Add(time.Duration(seconds) * time.Second)
	switch {
	case c.time.Sub(now) > maxSkew:
		return accessDenied.says("Request is not yet valid").err()
	case now.After(end):
		return accessDenied.says("Request has expired").err("X-Amz-Expires", expires,
			"Expires", end.Format(time.RFC3339), "ServerTime", now.UTC().Format(time.RFC3339))
	}
	return nil
}
