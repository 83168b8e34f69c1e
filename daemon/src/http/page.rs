//! The page at `/`: its built files, all compiled in; the page loads nothing from other sites.
//!
//! `scripts/page.sh build` generates the files from `daemon/page`, so that building the daemon
//! needs no Node.js.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("/page/app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
];

/// The page's routes.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(
            path,
            get(async move || {
                let headers = [
                    (CONTENT_TYPE, kind),
                    (CONTENT_SECURITY_POLICY, POLICY),
                    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
                    (REFERRER_POLICY, "no-referrer"),
                    // The page changes with the daemon's version.
                    (CACHE_CONTROL, "no-cache"),
                ];
                (headers, text).into_response()
            }),
        )
    })
}
