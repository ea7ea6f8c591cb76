// The store's component: takes the mesh that comes with it. The viewer's code stands above.
export default ({ data }) => {
  window.saebrain.takeMesh(data);
};
