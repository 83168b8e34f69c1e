// The ids of books: any text becomes a stable uuid, and a uuid stays itself.
import { v5 } from "uuid";

/** The namespace of `bookUuid`, the same in all of Bindery's packages; it never changes. */
export const NAMESPACE = "8266f4cc-0795-456a-83da-92a5b5d44cb4";

const UUID = /^\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$/i;

/**
 * Returns the uuid of a book.
 *
 * A text with the form of a uuid (any case, with or without dashes or braces) is that uuid, in
 * lower case with dashes. Any other text becomes `uuid5(NAMESPACE, text)`, in every process the
 * same.
 *
 * @throws RangeError if the text is empty.
 */
export function bookUuid(bookId: string): string {
  if (bookId === "")
    throw new RangeError("the book's id is empty; give a uuid or a text of your own");
  if (!UUID.test(bookId)) return v5(bookId, NAMESPACE);
  const digits = bookId.replace(/[{}-]/g, "").toLowerCase();
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
