package org.elasticsearch.node;

import java.util.List;

import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;

/** {@code GET /}, whose module is not published: product and version from the build itself. */
final class Root extends BaseRestHandler {
    @Override
    public String getName() {
        return "root";
    }

    @Override
    public List<Route> routes() {
        return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
        return channel -> {
            var answer = channel.newBuilder().startObject();
            answer.field("cluster_name", client.settings().get("cluster.name"));
            answer.startObject("version");
            answer.field("number", Build.current().version());
            answer.field("build_flavor", Build.current().flavor());
            answer.endObject().endObject();
            channel.sendResponse(new RestResponse(RestStatus.OK, answer));
        };
    }
}
