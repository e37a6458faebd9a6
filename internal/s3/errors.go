package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// answer is a row of the table of error answers. The messages are Amazon's: tools compare them.
type answer struct {
	status  int
	code    string
	message string
}

// apiError is an answer on its way to a client. It hides its cause from errors.Is: a body that was cut off must not look
// like io.EOF or io.ErrUnexpectedEOF to whoever reads it.
type apiError struct {
	answer
	extra  []string    // names and values of further elements, in turn
	header http.Header // further headers
	cause  error       // for the log; nil when the answer says it all
}

func (e *apiError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %v", e.code, e.cause)
	}
	return e.code + ": " + e.message
}

// err makes an error of the answer. extra are names and values of further elements of the document, in turn.
func (a answer) err(extra ...string) *apiError { return &apiError{answer: a, extra: extra} }

// says is the answer with other words.
func (a answer) says(format string, args ...any) answer {
	a.message = fmt.Sprintf(format, args...)
	return a
}

func (e *apiError) because(cause error) *apiError {
	e.cause = cause
	return e
}

func (e *apiError) with(header, value string) *apiError {
	if e.header == nil {
		e.header = make(http.Header)
	}
	e.header[header] = []string{value}
	return e
}

var (
	accessDenied          = answer{403, "AccessDenied", "Access Denied"}
	accessForbidden       = answer{403, "AccessForbidden", "CORSResponse: CORS is not enabled for this bucket."}
	authHeaderMalformed   = answer{400, "AuthorizationHeaderMalformed", "The authorization header is malformed."}
	authQueryError        = answer{400, "AuthorizationQueryParametersError", "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."}
	badDigest             = answer{400, "BadDigest", "The Content-MD5 you specified did not match what we received."}
	badRequest            = answer{400, "BadRequest", "Bad Request"}
	bucketAlreadyExists   = answer{409, "BucketAlreadyExists", "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."}
	bucketAlreadyOwned    = answer{409, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it."}
	bucketNotEmpty        = answer{409, "BucketNotEmpty", "The bucket you tried to delete is not empty"}
	contentSHA256Mismatch = answer{400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
	entityTooSmall        = answer{400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"}
	entityTooLarge        = answer{400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"}
	illegalLocation       = answer{400, "IllegalLocationConstraintException", "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to."}
	incompleteBody        = answer{400, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"}
	insufficientStorage   = answer{507, "InsufficientStorage", "There is not enough space left to store the object."}
	internalError         = answer{500, "InternalError", "We encountered an internal error. Please try again."}
	invalidAccessKey      = answer{403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
	invalidArgument       = answer{400, "InvalidArgument", "Invalid Argument"}
	invalidBucketName     = answer{400, "InvalidBucketName", "The specified bucket is not valid."}
	invalidChunkSize      = answer{400, "InvalidChunkSizeError", "Only the last chunk is allowed to have a size less than 8192 bytes"}
	invalidDigest         = answer{400, "InvalidDigest", "The Content-MD5 you specified was invalid."}
	invalidRange          = answer{416, "InvalidRange", "The requested range is not satisfiable"}
	invalidPart           = answer{400, "InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."}
	invalidPartNumber     = answer{416, "InvalidPartNumber", "The requested partnumber is not satisfiable"}
	invalidPartOrder      = answer{400, "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number."}
	invalidRequest        = answer{400, "InvalidRequest", "Invalid Request"}
	invalidStorageClass   = answer{400, "InvalidStorageClass", "The storage class you specified is not valid"}
	invalidToken          = answer{400, "InvalidToken", "The provided token is malformed or otherwise invalid."}
	invalidURI            = answer{400, "InvalidURI", "Couldn't parse the specified URI."}
	keyTooLong            = answer{400, "KeyTooLongError", "Your key is too long"}
	malformedACL          = answer{400, "MalformedACLError", "The XML you provided was not well-formed or did not validate against our published schema"}
	malformedTrailer      = answer{400, "MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema."}
	malformedXML          = answer{400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"}
	messageTooLong        = answer{400, "MaxMessageLengthExceeded", "Your request was too big."}
	metadataTooLarge      = answer{400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"}
	methodNotAllowed      = answer{405, "MethodNotAllowed", "The specified method is not allowed against this resource."}
	missingLength         = answer{411, "MissingContentLength", "You must provide the Content-Length HTTP header."}
	missingSecurityHeader = answer{400, "MissingSecurityHeader", "Your request was missing a required header."}
	noSuchBucket          = answer{404, "NoSuchBucket", "The specified bucket does not exist"}
	noSuchKey             = answer{404, "NoSuchKey", "The specified key does not exist."}
	noSuchPolicy          = answer{404, "NoSuchBucketPolicy", "The bucket policy does not exist"}
	noSuchUpload          = answer{404, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}
	notImplemented        = answer{501, "NotImplemented", "A header you provided implies functionality that is not implemented"}
	notModified           = answer{304, "NotModified", "Not Modified"}
	preconditionFailed    = answer{412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
	requestHeaderTooLarge = answer{400, "RequestHeaderSectionTooLarge", "Your request header section exceeds the maximum allowed size."}
	requestTimeout        = answer{400, "RequestTimeout", "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."}
	requestTimeTooSkewed  = answer{403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}
	serviceUnavailable    = answer{503, "ServiceUnavailable", "Service is unable to handle request."}
	slowDown              = answer{503, "SlowDown", "Please reduce your request rate."}
	signatureDoesNotMatch = answer{403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
)

// answerTo is the table from errors of the store to answers. bucket and key are those of the request; an error of the
// store that names others is believed.
func answerTo(err error, bucket, key string) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	for e, ok := errors.AsType[*object.Error](err); ok; e, ok = errors.AsType[*object.Error](e.Err) {
		bucket, key = e.Bucket, e.Key
	}
	switch {
	case errors.Is(err, object.ErrCorrupt): // first: what is damaged is not missing, whatever else the error is
		return internalError.err().because(err)
	case errors.Is(err, object.ErrNoBucket):
		return noSuchBucket.err("BucketName", bucket).because(err)
	case errors.Is(err, object.ErrBucketExists):
		return bucketAlreadyExists.err("BucketName", bucket).because(err)
	case errors.Is(err, object.ErrBucketNotEmpty):
		return bucketNotEmpty.err("BucketName", bucket).because(err)
	case errors.Is(err, object.ErrPrecondition), errors.Is(err, fs.ErrExist):
		return preconditionFailed.err().because(err)
	case errors.Is(err, object.ErrNoUpload):
		return noSuchUpload.err().because(err)
	case errors.Is(err, object.ErrPart):
		return partAnswer(err).because(err)
	case errors.Is(err, object.ErrInvalid):
		return invalidAnswer(err, bucket, key).because(err)
	case errors.Is(err, object.ErrDigest):
		return badDigest.err().because(err)
	case errors.Is(err, object.ErrTooLarge):
		return entityTooLarge.err().because(err)
	case errors.Is(err, object.ErrNoSpace):
		return insufficientStorage.err().because(err)
	case errors.Is(err, fs.ErrNotExist):
		return noSuchKey.err("Key", key).because(err)
	case errors.Is(err, fs.ErrPermission):
		return accessDenied.err().because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return serviceUnavailable.err().because(err)
	default:
		return internalError.err().because(err)
	}
}

// invalidAnswer answers for a name or argument that the store refuses.
func invalidAnswer(err error, bucket, key string) *apiError {
	e, ok := errors.AsType[*object.InvalidError](err)
	switch {
	case !ok:
		return invalidArgument.err()
	case e.Field == "bucket":
		return invalidBucketName.err("BucketName", bucket)
	case e.Field == "key" && len(key) > object.MaxKeyLen:
		return keyTooLong.err("Size", strconv.Itoa(len(key)), "MaxSizeAllowed", strconv.Itoa(object.MaxKeyLen))
	default:
		return invalidArgument.says("Invalid %s: %s", e.Field, e.Rule).err("ArgumentName", e.Field)
	}
}

// partAnswer names the part that is not there, if the store does.
func partAnswer(err error) *apiError {
	if e, ok := errors.AsType[*object.PartError](err); ok {
		return invalidPart.err("PartNumber", strconv.Itoa(e.Number))
	}
	return invalidPart.err()
}

// unknownHeader refuses a request for a header. Tools show the message and nothing else of the document.
func unknownHeader(name string) *apiError {
	name = strings.ToLower(name)
	return notImplemented.says("%s: %s", notImplemented.message, name).err("Header", name)
}

// unknownParameter refuses a request for a query parameter.
func unknownParameter(name string) *apiError {
	return notImplemented.says("A query parameter you provided implies functionality that is not implemented: %s", name).
		err("Parameter", name)
}

// badArgument is an InvalidArgument that names the argument.
func badArgument(name, value, message string) *apiError {
	return invalidArgument.says("%s", message).err("ArgumentName", name, "ArgumentValue", value)
}
