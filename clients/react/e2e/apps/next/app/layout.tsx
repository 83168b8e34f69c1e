import type { ReactNode } from "react";
import "@bindery/react/styles.css";

export const metadata = { title: "A Next.js app", icons: { icon: "data:," } };

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
