//! The page at `/`: one HTML file with its style and modules, all compiled in; the page loads
//! nothing from other sites.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: [(&str, &str, &str); 10] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("/page/app.js", SCRIPT, include_str!("page/app.js")),
    ("/page/api.js", SCRIPT, include_str!("page/api.js")),
    ("/page/books.js", SCRIPT, include_str!("page/books.js")),
    ("/page/cards.js", SCRIPT, include_str!("page/cards.js")),
    ("/page/substeps.js", SCRIPT, include_str!("page/substeps.js")),
    ("/page/timeline.js", SCRIPT, include_str!("page/timeline.js")),
    ("/page/text.js", SCRIPT, include_str!("page/text.js")),
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
