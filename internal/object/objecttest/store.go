package objecttest

import (
	"io/fs"
	"testing"

	"hugbucket/internal/object"
)

// errNotExist is short for what a missing key is.
var errNotExist = fs.ErrNotExist

// TestStore runs an object.Store over a driver through everything that doors do with it. open gives an empty driver each
// time; the suite closes it.
func TestStore(t *testing.T, open func(t *testing.T) object.Driver) {
	t.Helper()
	runParts(t, open, []part{
		{"Buckets", testBuckets},
		{"BucketPages", testBucketPages},
		{"NoBucket", testNoBucket},
		{"Arrived", testArrived},
		{"NoArrival", testNoArrival},
		{"RoundTrip", testRoundTrip},
		{"Large", testLarge},
		{"Attributes", testAttributes},
		{"Digests", testDigests},
		{"Read", testRead},
		{"Seek", testSeek},
		{"WriteRange", testWriteRange},
		{"Chunks", testFileChunks},
		{"OpenFile", testOpenFile},
		{"OpenWhileReplaced", testOpenWhileReplaced},
		{"ReadCanceled", testReadCanceled},
		{"PutRefused", testPutRefused},
		{"PutReaderFails", testPutReaderFails},
		{"PutCanceled", testPutCanceled},
		{"Keys", testKeys},
		{"Conditions", testConditions},
		{"ConditionBeforeBody", testConditionBeforeBody},
		{"OneWinner", testOneWinner},
		{"CompareAndSwap", testCompareAndSwap},
		{"Copy", testCopy},
		{"CopyRefused", testCopyRefused},
		{"Rename", testRename},
		{"RenameMany", testRenameMany},
		{"RenameRefused", testRenameRefused},
		{"RenameWhilePut", testRenameWhilePut},
		{"Remove", testRemove},
		{"RenameKeepsDir", testRenameKeepsDir},
		{"RemoveAtOnce", testRemoveAtOnce},
		{"Amend", testAmend},
		{"AmendTogether", testAmendTogether},
		{"Append", testAppend},
		{"AppendAmends", testAppendAmends},
		{"AppendAnywhere", testAppendAnywhere},
		{"AppendRefused", testAppendRefused},
		{"AppendRaced", testAppendRaced},
		{"AppendTogether", testAppendTogether},
		{"Delete", testDelete},
		{"DeleteMany", testDeleteMany},
		{"ListShapes", testListShapes},
		{"ListGroups", testListGroups},
		{"ListSeeks", testListSeeks},
		{"ListEdges", testListEdges},
		{"DedupSame", testDedupSame},
		{"DedupEdited", testDedupEdited},
		{"DedupWithin", testDedupWithin},
		{"Concurrent", testConcurrent},
		{"Multipart", testMultipart},
		{"MultipartNotes", testMultipartNotes},
		{"MultipartRefused", testMultipartRefused},
		{"MultipartConditions", testMultipartConditions},
		{"MultipartAsOnePiece", testAsOnePiece},
		{"AppendPart", testAppendPart},
		{"AppendPartRefused", testAppendPartRefused},
		{"MultipartOverlap", testMultipartOverlap},
		{"MultipartTogether", testMultipartTogether},
	})
}
