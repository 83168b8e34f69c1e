import { memo, useState } from "react";
import { ProgressTracker, StatusIndicator, useBooks, type BookRow } from "@bindery/react";

export function App({ bookId, ownerId }: { bookId: string | null; ownerId: string | undefined }) {
  const [chosen, choose] = useState(bookId);
  return (
    <main>
      <h1>Books</h1>
      {chosen !== null && <ProgressTracker bookId={chosen} />}
      {bookId === null && <List ownerId={ownerId} choose={choose} />}
    </main>
  );
}

function List({
  ownerId,
  choose,
}: {
  ownerId: string | undefined;
  choose: (bookId: string) => void;
}) {
  const { books, total, connection, stale, error, loading, hasMore, loadMore } = useBooks({
    ownerId,
    pageSize: 200,
  });
  if (loading) return <p>Loading</p>;
  return (
    <>
      <p data-connection={connection} data-stale={stale}>
        {total ?? books.length} books · {stale ? "may be out of date" : connection}
        {error !== null && ` · ${error.message}`}
      </p>
      <ul className="books">
        {books.map((book) => (
          <Line key={book.book_id} book={book} choose={choose} />
        ))}
      </ul>
      {hasMore && <button onClick={loadMore}>More</button>}
    </>
  );
}

const Line = memo(function Line({
  book,
  choose,
}: {
  book: BookRow;
  choose: (bookId: string) => void;
}) {
  return (
    <li data-book={book.book_id} data-revision={book.revision}>
      <button onClick={() => choose(book.book_id)}>{book.title || book.book_id}</button>
      <StatusIndicator book={book} showProgress />
    </li>
  );
});
